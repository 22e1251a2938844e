#include "proxy/proxy_class.h"

#include "proxy/proxy.h"
#include "proxy/request.h"

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

static PyObject *
do_get_class(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    return PyObject_GetAttrString(target, "__class__");
}

static PyObject *
do_class_name(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    PyObject *module = PyObject_GetAttrString(target, "__module__");
    PyObject *qualname = module == NULL ? NULL : PyObject_GetAttrString(target, "__qualname__");
    PyObject *result = qualname == NULL ? NULL : PyTuple_Pack(2, module, qualname);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return result;
}

/* Text as itself: what is a subclass of str would cross as a proxy. */
static PyObject *
text_attribute(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    if (value == NULL || !PyUnicode_CheckExact(value)) {
        PyErr_Clear();
        Py_XSETREF(value, PyUnicode_FromString("?"));
    }
    return value;
}

/* All names in a class; or those whose value is None. */
static PyObject *
names_in(PyTypeObject *class, bool nothing)
{
    PyObject *dict = PyType_GetDict(class), *list = PyList_New(0), *name, *value;
    Py_ssize_t at = 0;
    while (dict != NULL && list != NULL && PyDict_Next(dict, &at, &name, &value)) {
        if (PyUnicode_CheckExact(name) && (!nothing || value == Py_None) && PyList_Append(list, name) < 0) {
            Py_CLEAR(list);
        }
    }
    PyObject *names = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    Py_XDECREF(dict);
    return names;
}

static PyObject *
describe_class(PyTypeObject *class)
{
    bool everywhere = !(PyType_GetFlags(class) & Py_TPFLAGS_HEAPTYPE);
    PyObject *row = PyTuple_New(5);
    if (row == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(row, 0, Py_NewRef(everywhere ? (PyObject *)class : Py_None));
    PyTuple_SET_ITEM(row, 1, text_attribute((PyObject *)class, "__module__"));
    PyTuple_SET_ITEM(row, 2, text_attribute((PyObject *)class, "__qualname__"));
    PyTuple_SET_ITEM(row, 3, names_in(class, false));
    PyTuple_SET_ITEM(row, 4, names_in(class, true));
    for (Py_ssize_t i = 0; i < 5; i++) {
        if (PyTuple_GET_ITEM(row, i) == NULL) {
            Py_DECREF(row);
            return NULL;
        }
    }
    return row;
}

/* For each class in the order of this one, as stoa._classes.stand_in wants them. None: it is no class. */
static PyObject *
do_describe_class(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    PyObject *mro = PyType_Check(target) ? Py_XNewRef(((PyTypeObject *)target)->tp_mro) : NULL;
    if (mro == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *rows = PyTuple_New(PyTuple_GET_SIZE(mro));
    for (Py_ssize_t i = 0; rows != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *row = describe_class((PyTypeObject *)PyTuple_GET_ITEM(mro, i));
        if (row == NULL) {
            Py_CLEAR(rows);
            break;
        }
        PyTuple_SET_ITEM(rows, i, row);
    }
    Py_DECREF(mro);
    return rows;
}

/* ---- here -------------------------------------------------------------------------------------------------------- */

/* The class of that name in a module that is imported here, or NULL (no exception). */
static PyObject *
find_class(PyObject *module_name, PyObject *qualname)
{
    if (!PyUnicode_CheckExact(module_name) || !PyUnicode_CheckExact(qualname) ||
        PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0) {
        return NULL;
    }
    PyObject *found = PyImport_GetModule(module_name);
    PyObject *dot = found == NULL ? NULL : PyUnicode_FromString(".");
    PyObject *parts = dot == NULL ? NULL : PyUnicode_Split(qualname, dot, -1);
    for (Py_ssize_t i = 0; parts != NULL && found != NULL && i < PyList_GET_SIZE(parts); i++) {
        Py_SETREF(found, PyObject_GetAttr(found, PyList_GET_ITEM(parts, i)));
    }
    Py_XDECREF(parts);
    Py_XDECREF(dot);
    if (found != NULL && !PyType_Check(found)) {
        Py_CLEAR(found);
    }
    PyErr_Clear();
    return found;
}

static PyObject *
stand_in_for(PyObject *class)
{
    PyObject *rows = stoa__request(class, do_describe_class, NULL, 0, 0, 0);
    if (rows == NULL || rows == Py_None) {
        Py_XDECREF(rows);
        return rows == NULL ? NULL : Py_NewRef(class);
    }
    PyObject *module = PyImport_ImportModule("stoa._classes");
    PyObject *made = module == NULL ? NULL : PyObject_CallMethod(module, "stand_in", "OO", class, rows);
    Py_XDECREF(module);
    Py_DECREF(rows);
    return made;
}

PyObject *
stoa__proxy_class(PyObject *self)
{
    PyObject *class = stoa__request(self, do_get_class, NULL, 0, 0, 0);
    if (class == NULL || !stoa__is_proxy(class)) {
        return class;
    }
    PyObject *names = stoa__request(class, do_class_name, NULL, 0, 0, 0);
    PyObject *own = names == NULL ? NULL : find_class(PyTuple_GET_ITEM(names, 0), PyTuple_GET_ITEM(names, 1));
    PyErr_Clear();
    Py_XDECREF(names);
    if (own == NULL) {
        own = stand_in_for(class);
    }
    Py_DECREF(class);
    return own;
}

PyObject *
stoa__stands_for(PyObject *object)
{
    if (!PyType_Check(object) || Py_IS_TYPE(object, &PyType_Type)) {
        return NULL;
    }
    PyObject *dict = PyType_GetDict((PyTypeObject *)object);
    PyObject *proxy = dict == NULL ? NULL : PyDict_GetItemString(dict, "_stoa_proxy");
    Py_XDECREF(dict);
    return proxy != NULL && stoa__is_proxy(proxy) ? proxy : NULL;
}

/* ---- the type's type --------------------------------------------------------------------------------------------- */

static PyType_Slot hollow_slots[] = {
    {Py_tp_hash, (void *)PyObject_HashNotImplemented},
    {0, NULL},
};

/* Without special methods, and with __hash__ None, which hides that of object. */
static PyType_Spec hollow_spec = {
    .name = "stoa._Hollow",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = hollow_slots,
};

static PyObject *
told_mro(PyObject *type, void *unused)
{
    (void)type;
    (void)unused;
    PyObject *hollow = PyType_FromSpec(&hollow_spec);
    PyObject *mro = hollow == NULL ? NULL : PyTuple_Pack(2, hollow, &PyBaseObject_Type);
    Py_XDECREF(hollow);
    return mro;
}

/* What type.__dict__ gives. */
static PyObject *
told_dict(PyObject *unused, PyObject *type)
{
    (void)unused;
    PyObject *dict = PyType_GetDict(&PyType_Type);
    PyObject *descriptor = dict == NULL ? NULL : PyDict_GetItemString(dict, "__dict__"); /* the type holds it */
    Py_XDECREF(dict);
    return descriptor == NULL ? NULL
                              : Py_TYPE(descriptor)->tp_descr_get(descriptor, type, (PyObject *)Py_TYPE(type));
}

static PyMethodDef told_dict_method = {"__dict__", told_dict, METH_O, NULL};

/* inspect.getattr_static, by which typing's protocols look for special methods, passes over a class whose type has a
 * __dict__ that is not the usual descriptor. So they judge by the object's class (p.__class__), as those of collections.abc
 * do. */
static int
hide_dict(PyTypeObject *metatype)
{
    PyObject *function = PyCFunction_New(&told_dict_method, NULL), *dict = PyType_GetDict(metatype);
    PyObject *property = function == NULL ? NULL : PyObject_CallOneArg((PyObject *)&PyProperty_Type, function);
    int result = property == NULL || dict == NULL ? -1 : PyDict_SetItemString(dict, "__dict__", property);
    PyType_Modified(metatype);
    Py_XDECREF(property);
    Py_XDECREF(dict);
    Py_XDECREF(function);
    return result;
}

static PyGetSetDef metatype_getset[] = {
    {"__mro__", told_mro, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* The type and its type hold each other (stoa__proxy_metatype_show), and type's own traverse leaves out what a type is of. */
static int
traverse_metatype(PyObject *type, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(type));
    return PyType_Type.tp_traverse(type, visit, arg);
}

static int
clear_metatype(PyObject *type)
{
    return PyType_Type.tp_clear(type);
}

static PyType_Slot metatype_slots[] = {
    {Py_tp_base, (void *)&PyType_Type},
    {Py_tp_traverse, (void *)traverse_metatype},
    {Py_tp_clear, (void *)clear_metatype},
    {Py_tp_getset, metatype_getset},
    {0, NULL},
};

static PyType_Spec metatype_spec = {
    .name = "stoa._ProxyType",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = metatype_slots,
};

PyTypeObject *
stoa__proxy_metatype_new(void)
{
    PyTypeObject *metatype = (PyTypeObject *)PyType_FromSpec(&metatype_spec);
    if (metatype != NULL && hide_dict(metatype) < 0) {
        Py_CLEAR(metatype);
    }
    return metatype;
}

/* contextlib's ExitStack asks inspect.getattr_static(type(p), "__enter__") from 3.15 on, which passes over stoa.Proxy as well.
 * What it looks into after that, where it is asked about a class, is the dict of the class's own type. */
int
stoa__proxy_metatype_show(PyTypeObject *type)
{
    static const char *const names[] = {"__enter__", "__exit__", "__aenter__", "__aexit__"};
    PyObject *methods = PyType_GetDict(type), *dict = PyType_GetDict(Py_TYPE(type));
    int result = methods == NULL || dict == NULL ? -1 : 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && result == 0; i++) {
        result = PyDict_SetItemString(dict, names[i], PyDict_GetItemString(methods, names[i]));
    }
    PyType_Modified(Py_TYPE(type));
    Py_XDECREF(methods);
    Py_XDECREF(dict);
    return result;
}
