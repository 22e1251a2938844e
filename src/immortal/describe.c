#include "immortal/describe.h"

#include "heap/process_struct.h"
#include "immortal/cpython/cpython.h"
#include "immortal/cpython/stack.h"
#include "immortal/foreign.h"

/* ---- which object -------------------------------------------------------------------------------------------------- */

static bool
is_shared_type(const PyTypeObject *type)
{
    static PyTypeObject *const types[] = {
        &PyUnicode_Type,   &PyBytes_Type,       &PyLong_Type,       &PyFloat_Type,    &PyComplex_Type,
        &PyTuple_Type,     &PyFrozenSet_Type,   &PyRange_Type,      &PySlice_Type,    &PyDict_Type,
        &PyDictProxy_Type, &_PyWeakref_RefType, &STOA_MAPPING_TYPE, &stoa__node_type,
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (type == types[i]) {
            return true;
        }
    }
    return type != NULL && (type == stoa__runtime.date || type == stoa__runtime.time ||
                            type == stoa__runtime.datetime || type == stoa__runtime.timedelta);
}

static bool
is_head(const char *at)
{
    return stoa__has_shared_refcount(at) && is_shared_type(((const PyObject *)(const void *)at)->ob_type);
}

static size_t
keys_size(const stoa_keys *keys)
{
    size_t entry = keys->kind == STOA_KEYS_STR ? sizeof(stoa_str_entry) : sizeof(stoa_entry);
    return sizeof *keys + ((size_t)1 << keys->log2_index_bytes) + (size_t)keys->nentries * entry;
}

/* Bytes from the head to the end of what belongs to the object. */
static size_t
extent(const PyObject *object)
{
    const PyTypeObject *type = object->ob_type;
    if (type == &PyUnicode_Type) {
        const PyASCIIObject *str = (const PyASCIIObject *)object;
        size_t size = ((size_t)str->length + 1) * str->state.kind;
        if (str->state.ascii) {
            return sizeof(PyASCIIObject) + size;
        }
        const PyCompactUnicodeObject *wide = (const PyCompactUnicodeObject *)object;
        return sizeof *wide + size + (wide->utf8 == NULL ? 0 : (size_t)wide->utf8_length + 1);
    }
    if (type == &PyBytes_Type) {
        return STOA_BYTES_HEAD + (size_t)Py_SIZE(object) + 1;
    }
    if (type == &PyLong_Type) {
        return STOA_INT_HEAD + stoa__int_digit_count(object) * sizeof(digit);
    }
    if (type == &PyTuple_Type) {
        return offsetof(PyTupleObject, ob_item) + (size_t)Py_SIZE(object) * sizeof(PyObject *);
    }
    if (type == &PyFrozenSet_Type) {
        const PySetObject *set = (const PySetObject *)object;
        return sizeof *set + (set->table == set->smalltable ? 0 : ((size_t)set->mask + 1) * sizeof(setentry));
    }
    if (type == &STOA_MAPPING_TYPE) {
        const PyDictObject *dict = stoa__mapping_dict(object);
        const stoa_keys *keys = stoa__in_heap(dict) ? stoa__dict_keys(dict) : NULL;
        if (stoa__in_heap(keys)) { /* the object may be damaged: that is why somebody asks */
            return (size_t)((const char *)keys - (const char *)object) + keys_size(keys);
        }
    }
    if (type == &stoa__node_type) {
        return sizeof(stoa_node) + ((const stoa_node *)object)->count * sizeof(PyObject *);
    }
    return (size_t)type->tp_basicsize;
}

/* First address of the chunk that holds `address`; the address itself when no chunk does. */
static const char *
chunk_start(const char *address)
{
    const stoa_space *space = &stoa__process->space;
    size_t granule = ((uintptr_t)address - space->public_base) >> STOA_GRANULE_SHIFT;
    if (atomic_load(&space->granules[granule].region) == 0) {
        return address;
    }
    granule -= space->granules[granule].chunk_back;
    return (const char *)(space->public_base + (granule << STOA_GRANULE_SHIFT));
}

const void *
stoa__describe_object(const void *address)
{
    if (!stoa__in_heap(address)) {
        return NULL;
    }
    const char *start = chunk_start(address), *word = (const char *)((uintptr_t)address & ~(uintptr_t)7);
    for (const char *at = word; at >= start; at -= 8) {
        if (is_head(at) && (size_t)((const char *)address - at) <
                               ((extent((const PyObject *)(const void *)at) + 7) & ~(size_t)7)) {
            return at; /* one that does not reach so far may lie inside it, as a frozenset's weak reference does */
        }
    }
    /* in no object: a gc head before one */
    for (const char *at = word + 8; at <= word + sizeof(stoa_gc_head); at += 8) {
        if (((uintptr_t)at & (STOA_GRANULE - 1)) != 0 && is_head(at)) {
            return at;
        }
    }
    return NULL;
}

bool
stoa__describe_is_refcount(const void *address)
{
    return stoa__in_heap(address) && ((uintptr_t)address & 7) == 0 && is_head(address);
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

typedef struct writer {
    char *buffer;
    size_t size, length;
} writer;

static void
put_char(writer *w, char c)
{
    if (w->length + 1 < w->size) {
        w->buffer[w->length++] = c;
    }
}

static void
put(writer *w, const char *text)
{
    while (*text != '\0') {
        put_char(w, *text++);
    }
}

static void
put_number(writer *w, uint64_t number, unsigned base)
{
    char digits[24];
    size_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    while (count > 0) {
        put_char(w, digits[--count]);
    }
}

#define SHOWN 40 /* characters of a text */

static void
put_content(writer *w, const PyObject *object)
{
    bool is_str = object->ob_type == &PyUnicode_Type;
    const void *data = is_str ? stoa__str_data(object) : (const void *)((const PyBytesObject *)object)->ob_sval;
    unsigned kind = is_str ? ((const PyASCIIObject *)object)->state.kind : 1;
    Py_ssize_t length = is_str ? ((const PyASCIIObject *)object)->length : Py_SIZE(object);
    put(w, is_str ? " '" : " b'");
    for (Py_ssize_t i = 0; i < length && i < SHOWN; i++) {
        uint32_t c = stoa__str_read(kind, data, i);
        put_char(w, c >= ' ' && c < 127 ? (char)c : '?');
    }
    put(w, length > SHOWN ? "…'" : "'");
}

static void
put_object(writer *w, const PyObject *object)
{
    const PyTypeObject *type = object->ob_type;
    put(w, type == &PyDict_Type ? "dict inside a mapping" : type->tp_name);
    if (type == &PyUnicode_Type || type == &PyBytes_Type) {
        put_content(w, object);
    }
    else if (type == &PyLong_Type && stoa__int_digit_count(object) == 1) {
        put(w, stoa__int_is_negative(object) ? " -" : " ");
        put_number(w, stoa__int_digits(object)[0], 10);
    }
    else if (type == &PyTuple_Type || type == &PyFrozenSet_Type || type == &STOA_MAPPING_TYPE) {
        put(w, " of ");
        put_number(w,
                   (uint64_t)(type == &PyTuple_Type       ? Py_SIZE(object)
                              : type == &PyFrozenSet_Type ? ((const PySetObject *)object)->used
                              : stoa__in_heap(stoa__mapping_dict(object)) ? stoa__mapping_dict(object)->ma_used
                                                                          : 0),
                   10);
        put(w, " items");
    }
    put(w, " at 0x");
    put_number(w, (uintptr_t)object, 16);
}

/* A field that is known by name, of one type or (type NULL) of all. */
typedef struct field {
    const PyTypeObject *type;
    size_t from, to;
    const char *what;
} field;

static const char *
field_at(const PyObject *object, size_t offset)
{
    static const field fields[] = {
        {NULL, 0, 8, "the reference count"},
        {NULL, 8, 16, "the type"},
        {&PyUnicode_Type, 16, 24, "the length"},
        {&PyUnicode_Type, 24, 32, "the cached hash"},
        {&PyUnicode_Type, 32, 40, "the state (interning)"},
        {&PyBytes_Type, 24, 32, "the cached hash"},
        {&PyBytes_Type, 32, SIZE_MAX, "the content"},
        {&PyTuple_Type, 16, 24, "the length"},
        {&PyTuple_Type, 24, offsetof(PyTupleObject, ob_item), "the cached hash"},
        {&PyTuple_Type, offsetof(PyTupleObject, ob_item), SIZE_MAX, "an item"},
        {&PyFrozenSet_Type, 16, 64, "size, table or cached hash"},
        {&PyFrozenSet_Type, 64, 192, "the table"},
        {&PyFrozenSet_Type, 192, 200,
         "the list of weak references (shared frozensets allow weakref.ref without callback only)"},
        {&PyFrozenSet_Type, 200, SIZE_MAX, "the table"},
        {&PyDict_Type, 24, 32, "the version tag"},
        {&PyLong_Type, 16, SIZE_MAX, "the value"},
        {&PyFloat_Type, 16, SIZE_MAX, "the value"},
        {&PyComplex_Type, 16, SIZE_MAX, "the value"},
        {&_PyWeakref_RefType, 40, 56,
         "the links to other weak references (a shared frozenset can have one only)"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if ((fields[i].type == NULL || fields[i].type == object->ob_type) && offset >= fields[i].from &&
            offset < fields[i].to) {
            return fields[i].what;
        }
    }
    return object->ob_type == &STOA_MAPPING_TYPE ? "the table" : NULL;
}

size_t
stoa__describe(const void *address, char *buffer, size_t size)
{
    writer w = {buffer, size, 0};
    if (size == 0) {
        return 0;
    }
    const PyObject *object = stoa__describe_object(address);
    if (object == NULL) {
        put(&w, stoa__in_heap(address) ? "no object that is recognised, address 0x"
                                       : "not in the shared heap: 0x");
        put_number(&w, (uintptr_t)address, 16);
    }
    else {
        put_object(&w, object);
        if ((const char *)address < (const char *)object) {
            put(&w, ", the garbage collector's head before it");
        }
        else {
            size_t offset = (size_t)((const char *)address - (const char *)object);
            const char *what = field_at(object, offset);
            put(&w, ", offset ");
            put_number(&w, offset, 10);
            put(&w, what == NULL ? "" : ": ");
            put(&w, what == NULL ? "" : what);
        }
    }
    buffer[w.length] = '\0';
    return w.length;
}

const stoa_guard_describer stoa__describer = {
    .is_refcount = stoa__describe_is_refcount,
    .describe = stoa__describe,
    .write_python_stack = stoa__write_python_stack,
};
