/* Length, items, membership, iterating. */
#include "proxy/proxy_iterator.h"
#include "proxy/proxy_type.h"
#include "proxy/request.h"

static PyObject *
do_size(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    Py_ssize_t size = PyObject_Size(target);
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

Py_ssize_t
stoa__proxy_size(PyObject *self)
{
    PyObject *number = stoa__request(self, do_size, NULL, 0, 0, 0);
    Py_ssize_t size = number == NULL ? -1 : PyLong_AsSsize_t(number);
    Py_XDECREF(number);
    return size;
}

static PyObject *
do_get_item(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    (void)op;
    return PyObject_GetItem(target, args[0]);
}

static PyObject *
proxy_get_item(PyObject *self, PyObject *key)
{
    return stoa__request(self, do_get_item, &key, 1, STOA_REQUEST_FIRST_IS_NAME, 0);
}

/* bytearray[a:b] = x takes what can be iterated, but nothing that could be a number, and a proxy could be anything: so it
 * gets the bytes. New reference, or NULL with an exception. */
static PyObject *
bytes_of(PyObject *proxy)
{
    PyObject *view = PyMemoryView_FromObject(proxy);
    if (view == NULL) {
        PyErr_Clear();
        view = PySequence_List(proxy);
    }
    PyObject *bytes = view == NULL ? NULL : PyByteArray_FromObject(view);
    Py_XDECREF(view);
    return bytes;
}

static PyObject *
do_set_item(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)op;
    if (count == 2 && PyByteArray_Check(target) && PySlice_Check(args[0]) && stoa__is_proxy(args[1])) {
        PyObject *bytes = bytes_of(args[1]);
        int set = bytes == NULL ? -1 : PyObject_SetItem(target, args[0], bytes);
        Py_XDECREF(bytes);
        return set < 0 ? NULL : Py_NewRef(Py_None);
    }
    int result = count == 2 ? PyObject_SetItem(target, args[0], args[1]) : PyObject_DelItem(target, args[0]);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static int
proxy_set_item(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *args[] = {key, value};
    PyObject *result = stoa__request(self, do_set_item, args, value == NULL ? 1 : 2,
                                     STOA_REQUEST_FIRST_IS_NAME, 0);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
do_index(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    Py_ssize_t index = (Py_ssize_t)op->extra;
    if (count == 1) {
        return PySequence_SetItem(target, index, args[0]) < 0 ? NULL : Py_NewRef(Py_None);
    }
    return PySequence_GetItem(target, index);
}

static PyObject *
do_delete_index(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    return PySequence_DelItem(target, (Py_ssize_t)op->extra) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
proxy_item(PyObject *self, Py_ssize_t index)
{
    return stoa__request(self, do_index, NULL, 0, 0, (uintptr_t)index);
}

static int
proxy_set_index(PyObject *self, Py_ssize_t index, PyObject *value)
{
    PyObject *result = value == NULL ? stoa__request(self, do_delete_index, NULL, 0, 0, (uintptr_t)index)
                                     : stoa__request(self, do_index, &value, 1, 0, (uintptr_t)index);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
do_contains(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    (void)op;
    int found = PySequence_Contains(target, args[0]);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static int
proxy_contains(PyObject *self, PyObject *item)
{
    PyObject *found = stoa__request(self, do_contains, &item, 1,
                                    STOA_REQUEST_FIRST_IS_NAME | STOA_REQUEST_COPY, 0);
    Py_XDECREF(found); /* immortal */
    return found == NULL ? -1 : found == Py_True;
}

/* ---- iterating --------------------------------------------------------------------------------------------------- */

static bool
keeps_its_size(PyObject *object)
{
    return PyDict_CheckExact(object) || PyAnySet_CheckExact(object) || Py_IS_TYPE(object, &PyDictKeys_Type) ||
           Py_IS_TYPE(object, &PyDictValues_Type) || Py_IS_TYPE(object, &PyDictItems_Type);
}

/* A list or tuple: its size, for it can be read by index. A dict, set or view: (iterator, size). Else the iterator. */
static PyObject *
do_iterate(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    if (PyList_CheckExact(target) || PyTuple_CheckExact(target)) {
        return PyLong_FromSsize_t(Py_SIZE(target));
    }
    PyObject *iterator = PyObject_GetIter(target);
    if (iterator == NULL || !keeps_its_size(target)) {
        return iterator;
    }
    return Py_BuildValue("(Nn)", iterator, PyObject_Size(target));
}

static PyObject *
proxy_iterate(PyObject *self)
{
    PyObject *plan = stoa__request(self, do_iterate, NULL, 0, STOA_REQUEST_GOES_OVER, 0);
    if (plan == NULL) {
        return NULL;
    }
    PyObject *iterator = plan;
    if (PyLong_CheckExact(plan)) {
        iterator = stoa__proxy_iterator_new(self, NULL, 0);
        Py_DECREF(plan);
    }
    else if (PyTuple_CheckExact(plan)) {
        iterator = stoa__proxy_iterator_new(self, PyTuple_GET_ITEM(plan, 0),
                                            PyLong_AsSsize_t(PyTuple_GET_ITEM(plan, 1)));
        Py_DECREF(plan);
    }
    return iterator;
}

static PyObject *
do_next(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    if (!PyIter_Check(target)) {
        return PyErr_Format(PyExc_TypeError, "'%.200s' object is not an iterator", Py_TYPE(target)->tp_name);
    }
    return Py_TYPE(target)->tp_iternext(target);
}

static PyObject *
proxy_next(PyObject *self)
{
    return stoa__request(self, do_next, NULL, 0, STOA_REQUEST_BARE_STOP, 0);
}

const PyType_Slot stoa__proxy_container_slots[] = {
    {Py_mp_length, (void *)stoa__proxy_size},  {Py_sq_length, (void *)stoa__proxy_size},
    {Py_mp_subscript, (void *)proxy_get_item}, {Py_mp_ass_subscript, (void *)proxy_set_item},
    {Py_sq_item, (void *)proxy_item},          {Py_sq_ass_item, (void *)proxy_set_index},
    {Py_sq_contains, (void *)proxy_contains},  {Py_tp_iter, (void *)proxy_iterate},
    {Py_tp_iternext, (void *)proxy_next},      {0, NULL},
};
