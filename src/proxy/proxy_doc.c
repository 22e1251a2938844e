#include "proxy/proxy_doc.h"

static PyObject *
doc_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)type;
    return object == NULL || object == Py_None
               ? PyObject_Str(self)                         /* of the type itself */
               : PyObject_GetAttrString(object, "__doc__"); /* the owner's answer */
}

static PyType_Slot doc_slots[] = {
    {Py_tp_descr_get, (void *)doc_get},
    {0, NULL},
};

static PyType_Spec doc_spec = {
    .name = "stoa._ProxyDoc",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = doc_slots,
};

int
stoa__proxy_doc_put(PyTypeObject *type)
{
    PyObject *dict = PyType_GetDict(type);
    PyObject *doc_type = PyType_FromSpecWithBases(&doc_spec, (PyObject *)&PyUnicode_Type);
    PyObject *text = PyObject_GetAttrString((PyObject *)type, "__doc__");
    PyObject *doc = dict == NULL || doc_type == NULL || text == NULL ? NULL
                                                                     : PyObject_CallOneArg(doc_type, text);
    int result = doc == NULL ? -1 : PyDict_SetItemString(dict, "__doc__", doc);
    PyType_Modified(type);
    Py_XDECREF(doc);
    Py_XDECREF(text);
    Py_XDECREF(doc_type);
    Py_XDECREF(dict);
    return result;
}
