#include "module/foreign.h"

#include "immortal/plan.h"

PyDoc_STRVAR(register_doc, "register($module, type, reduce=None, rebuild=None)\n--\n\n"
                           "Lets objects of exactly this type be frozen, and returns the type.\n\n"
                           "reduce(obj) gives what stands for the object: anything that can be frozen. "
                           "rebuild(payload), a function that\n"
                           "an import finds, makes an equal object of it in each interpreter that receives "
                           "one. Without the two, an\n"
                           "object is its attributes (__dict__ and slots), as for a dataclass. Concerns "
                           "freezing in this interpreter;\n"
                           "those who receive need no registration.");

static int
check_functions(PyObject *reduce, PyObject *rebuild)
{
    if (reduce == Py_None && rebuild == Py_None) {
        return 0;
    }
    if (!PyCallable_Check(reduce) || !PyCallable_Check(rebuild)) {
        PyErr_Format(PyExc_TypeError, "register() wants two callables, or neither, not %.100s and %.100s",
                     Py_TYPE(reduce)->tp_name, Py_TYPE(rebuild)->tp_name);
        return -1;
    }
    PyObject *module, *qualname;
    if (stoa__global_path(rebuild, &module, &qualname) < 0) {
        return -1;
    }
    Py_DECREF(module);
    Py_DECREF(qualname);
    return 0;
}

static PyObject *
register_type(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    static char *keywords[] = {"type", "reduce", "rebuild", NULL};
    PyObject *type, *reduce = Py_None, *rebuild = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:register", keywords, &type, &reduce, &rebuild)) {
        return NULL;
    }
    if (!PyType_Check(type)) {
        return PyErr_Format(PyExc_TypeError, "register() wants a class, not %.100s", Py_TYPE(type)->tp_name);
    }
    stoa_foreign_side *side = stoa__foreign_side();
    if (side == NULL || check_functions(reduce, rebuild) < 0) {
        return NULL;
    }
    if (reduce == Py_None && !stoa__is_plain_class((PyTypeObject *)type)) {
        return PyErr_Format(
            PyExc_TypeError,
            "objects of %.200s are more than attributes: register() it with functions that take "
            "them apart and make them",
            ((PyTypeObject *)type)->tp_name);
    }
    PyObject *entry = PyTuple_Pack(2, reduce, rebuild);
    int result = entry == NULL || side->registered == NULL ? -1 : PyDict_SetItem(side->registered, type, entry);
    Py_XDECREF(entry);
    if (result < 0) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_RuntimeError, "this interpreter is being ended");
    }
    stoa__plans_clear(side);
    return Py_NewRef(type);
}

static PyMethodDef methods[] = {
    {"register", (PyCFunction)(void (*)(void))register_type, METH_VARARGS | METH_KEYWORDS, register_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_foreign(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
