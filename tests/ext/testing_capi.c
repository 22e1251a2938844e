/* Calls of CPython's C API that might write to the object they are given. Each takes the object, does the call, and
 * returns what came out; where the call may consume or replace the object, a reference of our own is handed in. */
#include "testing.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static PyObject *
poke(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_ssize_t offset;
    if (!PyArg_ParseTuple(args, "On:poke", &object, &offset)) {
        return NULL;
    }
    volatile char *place = (volatile char *)object + offset;
    *place = *place;
    Py_RETURN_NONE;
}

static PyObject *
peek(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_ssize_t offset, size;
    if (!PyArg_ParseTuple(args, "Onn:peek", &object, &offset, &size)) {
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)object + offset, size);
}

static PyObject *
as_utf8(PyObject *self, PyObject *object)
{
    (void)self;
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);
    return text == NULL ? NULL : PyBytes_FromStringAndSize(text, size);
}

static PyObject *
intern_in_place(PyObject *self, PyObject *object)
{
    (void)self;
    PyObject *text = Py_NewRef(object);
    PyUnicode_InternInPlace(&text);
    return text;
}

static PyObject *
set_attr(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object, *name, *value;
    if (!PyArg_ParseTuple(args, "OOO:set_attr", &object, &name, &value) ||
        PyObject_SetAttr(object, name, value) < 0) {
        return NULL;
    }
    return PyObject_GetAttr(object, name);
}

static PyObject *
dict_set(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *dict, *key, *value;
    if (!PyArg_ParseTuple(args, "OOO:dict_set", &dict, &key, &value) || PyDict_SetItem(dict, key, value) < 0) {
        return NULL;
    }
    return Py_XNewRef(PyDict_GetItemWithError(dict, key));
}

static PyObject *
unicode_append(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *left, *right;
    if (!PyArg_ParseTuple(args, "OO:unicode_append", &left, &right)) {
        return NULL;
    }
    Py_INCREF(left);
    PyUnicode_Append(&left, right);
    return left;
}

static PyObject *
unicode_resize(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *text;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "On:unicode_resize", &text, &size)) {
        return NULL;
    }
    Py_INCREF(text);
    if (PyUnicode_Resize(&text, size) < 0) {
        Py_XDECREF(text);
        return NULL;
    }
    return text;
}

static PyObject *
unicode_fill(PyObject *self, PyObject *text)
{
    (void)self;
    Py_INCREF(text); /* so that a plain one has a second owner, too */
    bool refused = PyUnicode_Fill(text, 0, 1, 'x') < 0;
    Py_DECREF(text);
    return refused ? NULL : Py_NewRef(text);
}

static PyObject *
unicode_write_char(PyObject *self, PyObject *text)
{
    (void)self;
    Py_INCREF(text); /* so that a plain one has a second owner, too */
    bool refused = PyUnicode_WriteChar(text, 0, 'x') < 0;
    Py_DECREF(text);
    return refused ? NULL : Py_NewRef(text);
}

static PyObject *
unicode_copies(PyObject *self, PyObject *text)
{
    (void)self;
    Py_ssize_t size;
    wchar_t *wide = PyUnicode_AsWideCharString(text, &size);
    Py_UCS4 *ucs4 = wide == NULL ? NULL : PyUnicode_AsUCS4Copy(text);
    if (ucs4 == NULL) {
        PyMem_Free(wide);
        return NULL;
    }
    PyObject *result = Py_BuildValue("nkk", size, (unsigned long)wide[0], (unsigned long)ucs4[0]);
    PyMem_Free(wide);
    PyMem_Free(ucs4);
    return result;
}

static PyObject *
unicode_compare(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *text;
    const char *ascii;
    if (!PyArg_ParseTuple(args, "Os:unicode_compare", &text, &ascii)) {
        return NULL;
    }
    return PyLong_FromLong(PyUnicode_CompareWithASCIIString(text, ascii));
}

static PyObject *
bytes_resize(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *bytes;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "On:bytes_resize", &bytes, &size)) {
        return NULL;
    }
    Py_INCREF(bytes);
    return _PyBytes_Resize(&bytes, size) < 0 ? NULL : bytes;
}

static PyObject *
bytes_concat(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *left, *right;
    if (!PyArg_ParseTuple(args, "OO:bytes_concat", &left, &right)) {
        return NULL;
    }
    Py_INCREF(left);
    PyBytes_Concat(&left, right);
    return left;
}

static PyObject *
tuple_resize(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *tuple;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "On:tuple_resize", &tuple, &size)) {
        return NULL;
    }
    Py_INCREF(tuple);
    return _PyTuple_Resize(&tuple, size) < 0 ? NULL : tuple;
}

static PyObject *
tuple_set_item(PyObject *self, PyObject *tuple)
{
    (void)self;
    Py_INCREF(tuple); /* so that a plain one has a second owner, too */
    bool refused = PyTuple_SetItem(tuple, 0, Py_NewRef(Py_None)) < 0;
    Py_DECREF(tuple);
    return refused ? NULL : Py_NewRef(tuple);
}

static PyObject *
set_add(PyObject *self, PyObject *set)
{
    (void)self;
    Py_INCREF(set); /* so that a plain one has a second owner, too */
    bool refused = PySet_Add(set, Py_None) < 0;
    Py_DECREF(set);
    return refused ? NULL : Py_NewRef(set);
}

/* Py_SET_REFCNT is for immortal objects only here: on an ordinary one it would be a lie about its owners. */
static PyObject *
set_refcnt(PyObject *self, PyObject *object)
{
    (void)self;
    if (Py_REFCNT(object) > (1 << 28)) {
        Py_SET_REFCNT(object, 5);
    }
    Py_RETURN_NONE;
}

static PyObject *
count_references(PyObject *self, PyObject *object)
{
    (void)self;
    for (int i = 0; i < 1000; i++) {
        Py_INCREF(object);
    }
    for (int i = 0; i < 1000; i++) {
        Py_DECREF(object);
    }
    Py_RETURN_NONE;
}

static PyObject *
gc_untrack(PyObject *self, PyObject *object)
{
    (void)self;
    if (!PyObject_IS_GC(object)) {
        Py_RETURN_NONE;
    }
    int tracked = PyObject_GC_IsTracked(object);
    if (tracked) { /* an ordinary tuple that the gc knows: leave it as it was */
        PyObject_GC_UnTrack(object);
        PyObject_GC_Track(object);
    }
    else {
        PyObject_GC_UnTrack(object);
    }
    Py_RETURN_NONE;
}

static PyObject *
new_weakref(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object, *callback = NULL;
    if (!PyArg_ParseTuple(args, "O|O:new_weakref", &object, &callback)) {
        return NULL;
    }
    return PyWeakref_NewRef(object, callback);
}

static PyObject *
parse_keywords(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    static char *names[] = {"alpha", "beta_value", NULL};
    PyObject *alpha = Py_None, *beta = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:parse_keywords", names, &alpha, &beta)) {
        return NULL;
    }
    return PyTuple_Pack(2, alpha, beta);
}

static PyObject *
vectorcall_keywords(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *callable, *names, *values;
    if (!PyArg_ParseTuple(args, "OO!O!:vectorcall_keywords", &callable, &PyTuple_Type, &names, &PyTuple_Type,
                          &values)) {
        return NULL;
    }
    PyObject *stack[8];
    Py_ssize_t count = PyTuple_GET_SIZE(values);
    if (count > 8 || count != PyTuple_GET_SIZE(names)) {
        PyErr_SetString(PyExc_ValueError, "as many names as values, at most 8");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        stack[i] = PyTuple_GET_ITEM(values, i);
    }
    return PyObject_Vectorcall(callable, stack, 0, names);
}

static PyObject *
set_error(PyObject *self, PyObject *object)
{
    (void)self;
    PyErr_SetObject(PyExc_ValueError, object);
    return NULL;
}

static PyObject *
import_name(PyObject *self, PyObject *name)
{
    (void)self;
    return PyImport_Import(name);
}

static PyObject *
writable_buffer(PyObject *self, PyObject *object)
{
    (void)self;
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    PyBuffer_Release(&view);
    Py_RETURN_TRUE;
}

static PyObject *
simple_buffer(PyObject *self, PyObject *object)
{
    (void)self;
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0) {
        return NULL;
    }
    PyObject *copy = PyBytes_FromStringAndSize(view.buf, view.len);
    PyBuffer_Release(&view);
    return copy;
}

static PyObject *
make_immortal(PyObject *self, PyObject *object)
{
    (void)self;
#if PY_VERSION_HEX >= 0x030f0000
    if (Py_REFCNT(object) > (1 << 28)) { /* never immortalise an ordinary one */
        (void)PyUnstable_SetImmortal(object);
    }
#else
    (void)object;
#endif
    Py_RETURN_NONE;
}

static PyObject *
kept_longs(PyObject *self, PyObject *number)
{
    (void)self;
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (value == -1 && PyErr_Occurred()) {
        return NULL;
    }
    unsigned long long mask = PyLong_AsUnsignedLongLongMask(number);
    double real = PyLong_AsDouble(number);
    if (real == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
    }
    return Py_BuildValue("LiKd", value, overflow, mask, real);
}

PyMethodDef testing_capi_methods[] = {
    {"poke", poke, METH_VARARGS,
     "poke(object, offset): writes one byte (unchanged) of the object, as a bad extension does"},
    {"peek", peek, METH_VARARGS, "peek(object, offset, size) -> bytes of the object's memory"},
    {"as_utf8", as_utf8, METH_O, NULL},
    {"intern_in_place", intern_in_place, METH_O, NULL},
    {"set_attr", set_attr, METH_VARARGS, NULL},
    {"dict_set", dict_set, METH_VARARGS, NULL},
    {"unicode_append", unicode_append, METH_VARARGS, NULL},
    {"unicode_resize", unicode_resize, METH_VARARGS, NULL},
    {"unicode_fill", unicode_fill, METH_O, NULL},
    {"unicode_write_char", unicode_write_char, METH_O, NULL},
    {"unicode_copies", unicode_copies, METH_O, NULL},
    {"unicode_compare", unicode_compare, METH_VARARGS, NULL},
    {"bytes_resize", bytes_resize, METH_VARARGS, NULL},
    {"bytes_concat", bytes_concat, METH_VARARGS, NULL},
    {"tuple_resize", tuple_resize, METH_VARARGS, NULL},
    {"tuple_set_item", tuple_set_item, METH_O, NULL},
    {"set_add", set_add, METH_O, NULL},
    {"set_refcnt", set_refcnt, METH_O, NULL},
    {"count_references", count_references, METH_O, NULL},
    {"gc_untrack", gc_untrack, METH_O, NULL},
    {"new_weakref", new_weakref, METH_VARARGS, NULL},
    {"parse_keywords", (PyCFunction)(void (*)(void))parse_keywords, METH_VARARGS | METH_KEYWORDS, NULL},
    {"vectorcall_keywords", vectorcall_keywords, METH_VARARGS, NULL},
    {"set_error", set_error, METH_O, NULL},
    {"import_name", import_name, METH_O, NULL},
    {"writable_buffer", writable_buffer, METH_O, NULL},
    {"simple_buffer", simple_buffer, METH_O, NULL},
    {"make_immortal", make_immortal, METH_O, NULL},
    {"kept_longs", kept_longs, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
