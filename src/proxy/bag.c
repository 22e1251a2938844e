#include "proxy/bag.h"

#include "immortal/by_value.h"

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

bool
stoa__goes_as_bag(PyObject *object)
{
    if (stoa__is_bag(object)) {
        return true;
    }
    /* what is asked of nearly all operands first: no number or text, no tuple, no proxy */
    return PyObject_IS_GC(object) && !PyTuple_CheckExact(object) &&
           stoa__value_crossing(object) == STOA_CROSSES_BAG;
}
