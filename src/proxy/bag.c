#include "proxy/bag.h"

bool
stoa__is_bag(PyObject *object)
{
    return PyList_CheckExact(object) || PyDict_CheckExact(object) || PySet_CheckExact(object) ||
           PyByteArray_CheckExact(object);
}

bool
stoa__is_method_of_bag(PyObject *object)
{
    return PyCFunction_CheckExact(object) && ((PyCFunctionObject *)object)->m_self != NULL &&
           stoa__is_bag(((PyCFunctionObject *)object)->m_self);
}
