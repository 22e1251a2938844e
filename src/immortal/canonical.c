#include "immortal/canonical.h"

#include <sched.h>
#include <stdatomic.h>

#include "heap/process.h"
#include "immortal/canonical_table.h"
#include "immortal/cpython/cpython.h"
#include "immortal/cpython/probe.h"
#include "immortal/exceptions.h"

stoa_canonical stoa__canonical; /* filled by stoa__canonical_init under a GIL, const afterwards */

/* 0: not yet; 1: being filled; 2: filled. Stored with release, loaded with acquire: publishes the table. */
static _Atomic int state;

/* ---- filling ------------------------------------------------------------------------------------------------------- */

static void
add_string(PyObject *str, void *context)
{
    (void)context;
    const PyASCIIObject *s = (const PyASCIIObject *)str;
    if (stoa__canonical.first_string == 0) {
        stoa__canonical.first_string = (uintptr_t)str;
    }
    stoa__canonical.last_string = (uintptr_t)str;
    if (s->length < 2) {
        return; /* 3.12 has two of some: the one in the table of characters is ours */
    }
    if (stoa__canonical.string_count * 2 >= STOA_CANONICAL_SLOTS || PyObject_Hash(str) == -1) {
        return; /* twice as many as any version has; the hash is wanted by tables of keys, and cannot fail */
    }
    size_t slot = stoa__canonical_slot(stoa__str_data(s), (size_t)s->length);
    stoa__canonical.marks[slot / 64] |= UINT64_C(1) << slot % 64;
    while (stoa__canonical.strings[slot] != NULL) {
        slot = (slot + 1) & (STOA_CANONICAL_SLOTS - 1);
    }
    stoa__canonical.strings[slot] = str;
    stoa__canonical.string_count++;
    if ((size_t)s->length > stoa__canonical.longest) {
        stoa__canonical.longest = (size_t)s->length;
    }
}

/* The singletons of ints: two objects of one value are one object. */
static int
fill_ints(void)
{
    stoa__canonical.int_low = 0;
    stoa__canonical.int_high = -1;
    for (int64_t v = 0, step = 1; v >= -STOA_SMALL_INTS && v < STOA_SMALL_INTS; v += step) {
        PyObject *a = PyLong_FromLongLong(v), *b = PyLong_FromLongLong(v);
        bool same = a == b;
        Py_XDECREF(a);
        Py_XDECREF(b);
        if (a == NULL || b == NULL) {
            return -1;
        }
        if (same) {
            stoa__canonical.ints[v + STOA_SMALL_INTS] = a;
            *(step > 0 ? &stoa__canonical.int_high : &stoa__canonical.int_low) = v;
        }
        else if (step > 0) {
            v = 0, step = -1; /* now the negative ones */
        }
        else {
            break;
        }
    }
    return 0;
}

/* The runtime's str of one character. 3.12 has two of some ('a', '_' ...): compiled code gets the interned one, and making a
 * code object would write that one into a shared tuple that holds the other (hazard W14). */
static PyObject *
one_character(unsigned character)
{
    PyObject *str = PyUnicode_FromOrdinal((int)character);
    if (str != NULL && character < 128) {
        PyUnicode_InternInPlace(&str);
    }
    return str;
}

static int
fill(void)
{
    if (fill_ints() < 0) {
        return -1;
    }
    for (unsigned i = 0; i < 256; i++) {
        char byte = (char)i;
        PyObject *str = one_character(i), *bytes = PyBytes_FromStringAndSize(&byte, 1);
        if (str == NULL || bytes == NULL || PyObject_Hash(str) == -1 || PyObject_Hash(bytes) == -1) {
            return -1;
        }
        stoa__canonical.chars[i] = str; /* static: the references need not be kept */
        stoa__canonical.bytes[i] = bytes;
        Py_DECREF(str);
        Py_DECREF(bytes);
    }
    PyObject *str = PyUnicode_New(0, 0), *bytes = PyBytes_FromStringAndSize(NULL, 0), *tuple = PyTuple_New(0);
    if (str == NULL || bytes == NULL || tuple == NULL || PyObject_Hash(str) == -1 ||
        PyObject_Hash(bytes) == -1) {
        return -1;
    }
    stoa__canonical.empty_str = str;
    stoa__canonical.empty_bytes = bytes;
    stoa__canonical.empty_tuple = tuple;
    Py_DECREF(str);
    Py_DECREF(bytes);
    Py_DECREF(tuple);
    if (stoa__runtime_static_strings(add_string, NULL) == 0 || stoa__canonical_ascii("__init__", 8) == NULL) {
        stoa__raise_unsupported("the runtime's static strings are not where they are expected");
        return -1;
    }
    return 0;
}

int
stoa__canonical_init(void)
{
    char why[200];
    if (!stoa__runtime_fits(why, sizeof why)) {
        stoa__raise_unsupported(why);
        return -1;
    }
    int was = 0;
    while (!atomic_compare_exchange_strong(&state, &was, 1)) {
        if (was == 2) {
            return stoa__runtime_receive();
        }
        was = 0; /* another thread fills: all it needs is its own interpreter's GIL */
        Py_BEGIN_ALLOW_THREADS
            ;
            sched_yield();
        Py_END_ALLOW_THREADS;
    }
    memset(&stoa__canonical, 0, sizeof stoa__canonical);
    int result = stoa__runtime_init() < 0 || fill() < 0 || stoa__probe() < 0 ? -1 : 0;
    atomic_store(&state, result == 0 ? 2 : 0);
    return result;
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

PyObject *
stoa__canonical_int(int64_t value)
{
    return stoa__canonical_small_int(value);
}

PyObject *
stoa__canonical_char(uint32_t character)
{
    return character < 256 ? stoa__canonical.chars[character] : NULL;
}

PyObject *
stoa__canonical_ascii(const char *text, size_t size)
{
    if (size <= 1) {
        return size == 0 ? stoa__canonical.empty_str : stoa__canonical_char((unsigned char)text[0]);
    }
    return stoa__canonical_string(text, size);
}

PyObject *
stoa__canonical_bytes(const void *bytes, size_t size)
{
    return size == 0   ? stoa__canonical.empty_bytes
           : size == 1 ? stoa__canonical.bytes[*(const unsigned char *)bytes]
                       : NULL;
}

PyObject *
stoa__canonical_empty_tuple(void)
{
    return stoa__canonical.empty_tuple;
}

static bool
is_canonical_str(const PyObject *object)
{
    const PyASCIIObject *str = (const PyASCIIObject *)object;
    if ((uintptr_t)object - stoa__canonical.first_string <=
        stoa__canonical.last_string - stoa__canonical.first_string) {
        return true;
    }
    if (str->length > 1 || !str->state.compact || str->state.kind != 1) {
        return false;
    }
    return object == (str->length == 0 ? stoa__canonical.empty_str
                                       : stoa__canonical.chars[*(const unsigned char *)stoa__str_data(str)]);
}

bool
stoa__is_canonical(const PyObject *object)
{
    const PyTypeObject *type = object->ob_type;
    if (type == &PyUnicode_Type) {
        return is_canonical_str(object);
    }
    if (type == &PyLong_Type) {
        if (stoa__int_digit_count(object) > 1) {
            return false;
        }
        int64_t value = stoa__int_digit_count(object) == 0 ? 0 : (int64_t)stoa__int_digits(object)[0];
        return object == stoa__canonical_small_int(stoa__int_is_negative(object) ? -value : value);
    }
    if (type == &PyBytes_Type) {
        return Py_SIZE(object) <= 1 &&
               object ==
                   stoa__canonical_bytes(((const PyBytesObject *)object)->ob_sval, (size_t)Py_SIZE(object));
    }
    if (type == &PyTuple_Type) {
        return object == stoa__canonical.empty_tuple;
    }
    if (type == &PyType_Type) {
        return stoa__type_is_static((const PyTypeObject *)object);
    }
    return object == Py_None || object == Py_True || object == Py_False || object == Py_Ellipsis ||
           object == Py_NotImplemented || (object == stoa__runtime.utc && object != NULL);
}

bool
stoa__is_shared(const PyObject *object)
{
    return stoa__in_heap(object) || stoa__is_canonical(object);
}
