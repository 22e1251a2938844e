/* In: from Arrow's structs to a tree. */
#include "heap/fill.h"
#include "heap/process.h"
#include "immortal/arrow_taker.h"
#include "immortal/exceptions.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BUFFERS 1048576             /* of one array */
#define LET_GO_WORTH ((size_t)256 << 10) /* bytes from which on others may run meanwhile */
#define MOST_PARTS 65536 /* a struct may be its own child: that is not what depth alone can stop */

static PyObject *take(arrow_taker *t, const arrow_schema *schema, const arrow_array *array, int64_t first,
                      int64_t count, int depth);

bool
stoa__arrow_damaged(const char *what)
{
    PyErr_Format(PyExc_ValueError, "the Arrow array is damaged: %s", what);
    return false;
}

char *
stoa__arrow_new_buffer(arrow_taker *t, const arrow_part *p, Py_ssize_t place, int64_t size)
{
    stoa_layout layout = {.format = "B", .itemsize = 1, .ndim = 1, .shape = &size};
    char *data;
    stoa_array *array = stoa__array_make(t->batch, &layout, true, &data);
    if (array != NULL && t->count == t->room) {
        size_t room = 2 * t->room + 16;
        arrow_pending *more = realloc(t->pending, room * sizeof(*more));
        if (more == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        t->pending = more;
        t->room = room;
    }
    if (array == NULL) {
        return NULL;
    }
    t->pending[t->count++] = (arrow_pending){p->buffers, place, array};
    return data;
}

bool
stoa__arrow_copy_bytes(arrow_taker *t, const arrow_part *p, Py_ssize_t place, const char *from, int64_t size)
{
    char *to = stoa__arrow_new_buffer(t, p, place, size);
    if (to == NULL || size == 0) {
        return to != NULL;
    }
    if ((size_t)size < LET_GO_WORTH) {
        stoa__fill(to, from, (size_t)size);
        return true;
    }
    Py_BEGIN_ALLOW_THREADS
        stoa__fill(to, from, (size_t)size);
    Py_END_ALLOW_THREADS
    return true;
}

/* Bits [at, at + count) of `from`, moved to the front. */
static bool
copy_bits(arrow_taker *t, const arrow_part *p, Py_ssize_t place, const uint8_t *from)
{
    int64_t size = (p->count + 7) / 8, end = p->at + p->count;
    char *public = stoa__arrow_new_buffer(t, p, place, size);
    if (public == NULL) {
        return false;
    }
    uint8_t *to = stoa__rw(public);
    unsigned shift = (unsigned)(p->at % 8);
    from += p->at / 8;
    for (int64_t i = 0; i < size; i++) {
        bool more = shift != 0 && (p->at / 8 + i + 1) * 8 < end;
        to[i] = (uint8_t)(from[i] >> shift | (more ? from[i + 1] << (8 - shift) : 0));
    }
    if (p->count % 8 != 0) {
        to[size - 1] &= (uint8_t)((1u << (p->count % 8)) - 1);
    }
    return true;
}

static int64_t
count_nulls(const arrow_part *p, const uint8_t *valid)
{
    int64_t nulls = 0;
    for (int64_t i = p->at; i < p->at + p->count; i++) {
        nulls += !(valid[i / 8] >> (i % 8) & 1);
    }
    return nulls;
}

static bool
take_validity(arrow_taker *t, const arrow_part *p, int64_t *nulls)
{
    bool has_validity = stoa__arrow_has_validity(&p->layout);
    const uint8_t *valid = has_validity ? p->array->buffers[0] : NULL;
    *nulls = p->layout.kind == STOA_ARROW_NULL ? p->count : 0;
    if (has_validity && valid == NULL && p->array->null_count > 0) {
        return stoa__arrow_damaged("it has nulls, but does not say which items they are");
    }
    if (valid == NULL || p->array->null_count == 0) {
        return true;
    }
    *nulls = count_nulls(p, valid);
    return *nulls == 0 || copy_bits(t, p, 0, valid);
}

static inline int64_t
offset_at(const arrow_part *p, int64_t i)
{
    const void *offsets = p->array->buffers[1];
    return p->layout.width == 4 ? ((const int32_t *)offsets)[i] : ((const int64_t *)offsets)[i];
}

/* Offsets, moved to begin at 0. *first and *size: what they reach of the bytes or the child. */
static bool
take_offsets(arrow_taker *t, const arrow_part *p, int64_t *first, int64_t *size)
{
    char *public = stoa__arrow_new_buffer(t, p, 1, (p->count + 1) * p->layout.width);
    *first = *size = 0;
    if (public == NULL) {
        return false;
    }
    if (p->count == 0) {
        memset(stoa__rw(public), 0, (size_t)p->layout.width);
        return true; /* the buffer may be missing altogether */
    }
    if (p->array->buffers[1] == NULL) {
        return stoa__arrow_damaged("it has no offsets");
    }
    int64_t base = offset_at(p, p->at), before = base;
    for (int64_t i = 0; i <= p->count; i++) {
        int64_t offset = offset_at(p, p->at + i);
        if (offset < before || base < 0 || offset > PTRDIFF_MAX / 64) {
            return stoa__arrow_damaged("its offsets go back, or nowhere");
        }
        before = offset;
        if (p->layout.width == 4) {
            ((int32_t *)stoa__rw(public))[i] = (int32_t)(offset - base);
        }
        else {
            ((int64_t *)stoa__rw(public))[i] = offset - base;
        }
    }
    *first = base;
    *size = before - base;
    return true;
}

/* The buffers behind the first one. *first, *size: the part of the children. */
static bool
take_values(arrow_taker *t, const arrow_part *p, int64_t *first, int64_t *size)
{
    const void *values = p->layout.buffers > 1 ? p->array->buffers[p->layout.buffers - 1] : NULL;
    switch (p->layout.kind) {
    case STOA_ARROW_NULL:
    case STOA_ARROW_LIST_VIEWS: /* these with their children */
    case STOA_ARROW_DENSE:
    case STOA_ARROW_RUNS:
        return true;
    case STOA_ARROW_STRUCT:
        *first = p->at;
        *size = p->count;
        return true;
    case STOA_ARROW_FIXED_LIST:
        if (p->at > PTRDIFF_MAX / 64 / (p->layout.width + 1) ||
            p->count > PTRDIFF_MAX / 64 / (p->layout.width + 1)) {
            return stoa__arrow_damaged("its lists are longer than memory");
        }
        *first = p->at * p->layout.width;
        *size = p->count * p->layout.width;
        return true;
    case STOA_ARROW_LIST:
        return take_offsets(t, p, first, size);
    case STOA_ARROW_BYTES:
        return take_offsets(t, p, first, size) &&
               (*size == 0 || values != NULL || stoa__arrow_damaged("it has no bytes")) &&
               stoa__arrow_copy_bytes(t, p, 2, *size == 0 ? "" : (const char *)values + *first, *size);
    case STOA_ARROW_VIEWS:
        return stoa__arrow_take_views(t, p);
    case STOA_ARROW_SPARSE:
        *first = p->at;
        *size = p->count;
        return stoa__arrow_copy_codes(t, p);
    default:
        break;
    }
    if (p->count == 0) {
        return stoa__arrow_copy_bytes(t, p, 1, "", 0);
    }
    if (values == NULL || p->count > PTRDIFF_MAX / 64 / (p->layout.width + 1) ||
        p->at > PTRDIFF_MAX / 64 / (p->layout.width + 1)) {
        return stoa__arrow_damaged("it has no values, or more than memory holds");
    }
    return p->layout.kind == STOA_ARROW_BITS
               ? copy_bits(t, p, 1, values)
               : stoa__arrow_copy_bytes(t, p, 1, (const char *)values + p->at * p->layout.width,
                                        p->count * p->layout.width);
}

/* As bytes; None where there is none. */
static PyObject *
take_metadata(const char *metadata)
{
    size_t size;
    bool extension;
    if (metadata == NULL) {
        Py_RETURN_NONE;
    }
    return stoa__arrow_read_metadata(metadata, &size, &extension)
               ? PyBytes_FromStringAndSize(metadata, (Py_ssize_t)size)
               : NULL;
}

PyObject *
stoa__arrow_take_child(arrow_taker *t, const arrow_part *p, Py_ssize_t i, int64_t first, int64_t size, int depth)
{
    return take(t, p->schema->children[i], p->array->children[i], first, size, depth + 1);
}

static PyObject *
take_children(arrow_taker *t, const arrow_part *p, int64_t first, int64_t size, int depth)
{
    switch (p->layout.kind) {
    case STOA_ARROW_LIST_VIEWS:
        return stoa__arrow_take_list_views(t, p, depth);
    case STOA_ARROW_DENSE:
        return stoa__arrow_take_dense(t, p, depth);
    case STOA_ARROW_RUNS:
        return stoa__arrow_take_runs(t, p, depth);
    default:
        break;
    }
    PyObject *children = PyTuple_New((Py_ssize_t)p->array->n_children);
    for (Py_ssize_t i = 0; children != NULL && i < PyTuple_GET_SIZE(children); i++) {
        PyObject *child = stoa__arrow_take_child(t, p, i, first, size, depth);
        if (child == NULL) {
            Py_CLEAR(children);
            break;
        }
        PyTuple_SET_ITEM(children, i, child);
    }
    return children;
}

static PyObject *
take_dictionary(arrow_taker *t, const arrow_part *p, int depth)
{
    if (p->schema->dictionary == NULL) {
        Py_RETURN_NONE;
    }
    if (p->array->dictionary == NULL || p->layout.kind != STOA_ARROW_FIXED || p->schema->format[1] != '\0' ||
        strchr("cCsSiIlL", p->schema->format[0]) == NULL) {
        stoa__arrow_damaged("its dictionary is missing, or is not looked up by whole numbers");
        return NULL;
    }
    return take(t, p->schema->dictionary, p->array->dictionary, 0, p->array->dictionary->length, depth + 1);
}

/* Of a map: its items are structs of two. */
static bool
has_pairs(const arrow_schema *items)
{
    return items->format != NULL && strcmp(items->format, "+s") == 0 && items->n_children == 2;
}

static bool
check_part(arrow_taker *t, arrow_part *p, int64_t first, int depth)
{
    if (depth > STOA_ARROW_DEPTH || ++t->parts > MOST_PARTS) {
        PyErr_Format(PyExc_ValueError,
                     "the Arrow array is nested deeper than %d levels, or has more than %d parts",
                     STOA_ARROW_DEPTH, MOST_PARTS);
        return false;
    }
    if (!stoa__arrow_is_sound(p->schema, p->array) || !stoa__arrow_layout(p->schema->format, &p->layout)) {
        return false;
    }
    if (p->count > p->array->length - first) {
        return stoa__arrow_damaged("a child has fewer items than are asked of it");
    }
    bool views = p->layout.kind == STOA_ARROW_VIEWS; /* behind the others come the sizes of those with bytes */
    if ((views ? p->array->n_buffers <= p->layout.buffers || p->array->n_buffers > MOST_BUFFERS
               : p->array->n_buffers != p->layout.buffers) ||
        (p->layout.children >= 0 && p->array->n_children != p->layout.children)) {
        return stoa__arrow_damaged("it has not the buffers and children that its type has");
    }
    return strcmp(p->schema->format, "+m") != 0 || has_pairs(p->schema->children[0]) ||
           stoa__arrow_damaged("the items of its maps are no pairs of a key and a value");
}

static PyObject *
take(arrow_taker *t, const arrow_schema *schema, const arrow_array *array, int64_t first, int64_t count,
     int depth)
{
    arrow_part p = {.schema = schema, .array = array, .count = count};
    int64_t nulls, inner_first = 0, inner_size = 0;
    if (!check_part(t, &p, first, depth)) {
        return NULL;
    }
    p.at = first + array->offset;
    bool views = p.layout.kind == STOA_ARROW_VIEWS;
    PyObject *buffers = PyTuple_New(views ? (Py_ssize_t)array->n_buffers - 1 : p.layout.buffers);
    PyObject *children = NULL, *dictionary = NULL, *tree = NULL;
    PyObject *metadata = buffers == NULL ? NULL : take_metadata(schema->metadata);
    for (Py_ssize_t i = 0; metadata != NULL && i < PyTuple_GET_SIZE(buffers); i++) {
        PyTuple_SET_ITEM(buffers, i, Py_NewRef(Py_None));
    }
    p.buffers = buffers;
    if (metadata != NULL && take_validity(t, &p, &nulls) && take_values(t, &p, &inner_first, &inner_size)) {
        children = take_children(t, &p, inner_first, inner_size, depth);
        dictionary = children == NULL ? NULL : take_dictionary(t, &p, depth);
    }
    if (dictionary != NULL) {
        tree = Py_BuildValue("szLOLLOOO", schema->format, schema->name, (long long)schema->flags, metadata,
                             (long long)count, (long long)nulls, buffers, children, dictionary);
    }
    Py_XDECREF(buffers);
    Py_XDECREF(metadata);
    Py_XDECREF(children);
    Py_XDECREF(dictionary);
    return tree;
}

/* The batch is committed: what has been copied is put in its places. */
static bool
show(const arrow_taker *t)
{
    for (size_t i = 0; i < t->count; i++) {
        PyObject *shown = stoa__deliver(stoa__array_node(t->pending[i].array));
        if (shown == NULL) {
            return false;
        }
        PyObject *old = PyTuple_GET_ITEM(t->pending[i].buffers, t->pending[i].place);
        PyTuple_SET_ITEM(t->pending[i].buffers, t->pending[i].place, shown);
        Py_DECREF(old);
    }
    return true;
}

PyObject *
stoa__arrow_take(stoa_batch *batch, const arrow_schema *schema, const arrow_array *array)
{
    arrow_taker t = {.batch = batch};
    PyObject *tree = take(&t, schema, array, 0, array->length, 0);
    if (tree == NULL) {
        stoa_err err = batch->err;
        stoa__batch_abort(batch);
        if (!PyErr_Occurred()) {
            stoa__raise(err != STOA_OK ? err : STOA_ENOMEM);
        }
    }
    else {
        stoa__batch_commit(batch);
        if (batch->err != STOA_OK) {
            stoa__raise(batch->err);
            Py_CLEAR(tree);
        }
        else if (!show(&t)) {
            Py_CLEAR(tree);
        }
    }
    free(t.pending);
    return tree;
}
