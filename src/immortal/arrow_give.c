/* Out: from a tree to Arrow's structs over the same memory. They hold nothing of Python's: they may be released on any
 * thread, with no GIL. */
#include "immortal/array_view.h"
#include "immortal/arrow_tree.h"

#include <stdlib.h>
#include <string.h>

/* What hangs off a schema, or an array. */
typedef struct given {
    char *texts; /* format, name, metadata */
    const void **buffers;
    int64_t *sizes; /* of the buffers of views */
    arrow_schema **schemas;
    arrow_array **arrays;
} given;

static void
free_given(given *g)
{
    if (g != NULL) {
        free(g->texts);
        free(g->buffers);
        free(g->sizes);
        free(g->schemas);
        free(g->arrays);
        free(g);
    }
}

static void
release_schema(arrow_schema *schema)
{
    for (int64_t i = 0; i <= schema->n_children; i++) {
        arrow_schema *part = i < schema->n_children ? schema->children[i] : schema->dictionary;
        if (part != NULL && part->release != NULL) { /* else somebody has moved it away */
            part->release(part);
        }
        free(part);
    }
    free_given(schema->private_data);
    schema->release = NULL;
}

static void
release_array(arrow_array *array)
{
    for (int64_t i = 0; i <= array->n_children; i++) {
        arrow_array *part = i < array->n_children ? array->children[i] : array->dictionary;
        if (part != NULL && part->release != NULL) {
            part->release(part);
        }
        free(part);
    }
    free_given(array->private_data);
    array->release = NULL;
}

/* The parts of a tree. Borrowed. */
typedef struct tree {
    const char *format, *name;
    PyObject *metadata, *buffers, *children, *dictionary;
    long long flags, length, nulls;
    stoa_arrow_layout layout;
} tree;

static bool
damaged(void)
{
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError,
                        "this is no tree of an Arrow array, or a damaged one; make it by array()");
    }
    return false;
}

static bool
read_tree(PyObject *object, tree *out)
{
    if (!PyTuple_Check(object) ||
        !PyArg_ParseTuple(object, "szLOLLO!O!O", &out->format, &out->name, &out->flags, &out->metadata,
                          &out->length, &out->nulls, &PyTuple_Type, &out->buffers, &PyTuple_Type,
                          &out->children, &out->dictionary) ||
        !stoa__arrow_layout(out->format, &out->layout)) {
        return damaged();
    }
    return (out->length >= 0 && out->length <= PTRDIFF_MAX / 64 && out->nulls >= 0 &&
            out->nulls <= out->length && (out->metadata == Py_None || PyBytes_Check(out->metadata)) &&
            (out->layout.kind == STOA_ARROW_VIEWS ? PyTuple_GET_SIZE(out->buffers) >= out->layout.buffers
                                                  : PyTuple_GET_SIZE(out->buffers) == out->layout.buffers) &&
            (out->layout.children < 0 || PyTuple_GET_SIZE(out->children) == out->layout.children)) ||
           damaged();
}

/* The array behind a buffer, which has at least `size` bytes; *out NULL: it is not there. */
static bool
buffer_of(const tree *t, Py_ssize_t i, int64_t size, const stoa_array **out)
{
    PyObject *object = PyTuple_GET_ITEM(t->buffers, i);
    *out = NULL;
    if (object == Py_None) {
        return (i == 0 && t->nulls == 0 && stoa__arrow_has_validity(&t->layout)) || damaged();
    }
    *out = stoa__array_of_object(object);
    return (*out != NULL && (*out)->contiguous && (int64_t)(*out)->extent >= size) || damaged();
}

/* Bytes that buffer `i` must have. INT64_MAX: more than there can be. */
static int64_t
least_size(const tree *t, Py_ssize_t i)
{
    const stoa_arrow_layout *l = &t->layout;
    if (i == 0) {
        return stoa__arrow_has_validity(l) ? (t->length + 7) / 8 : t->length;
    }
    if (i >= 2 && l->kind != STOA_ARROW_LIST_VIEWS) {
        return 0; /* bytes: said by what is before them */
    }
    if (l->kind == STOA_ARROW_BITS) {
        return (t->length + 7) / 8;
    }
    bool ends = l->kind == STOA_ARROW_BYTES || l->kind == STOA_ARROW_LIST;
    return t->length > PTRDIFF_MAX / 64 / (l->width + 1) ? INT64_MAX : (t->length + ends) * l->width;
}

/* How many items children must have at least, or the last buffer bytes. */
static int64_t
least_inner(const tree *t, const void *const *buffers)
{
    const stoa_arrow_layout *l = &t->layout;
    switch (l->kind) {
    case STOA_ARROW_STRUCT:
    case STOA_ARROW_SPARSE:
        return t->length;
    case STOA_ARROW_FIXED_LIST:
        return t->length > PTRDIFF_MAX / 64 / (l->width + 1) ? INT64_MAX : t->length * l->width;
    case STOA_ARROW_BYTES:
    case STOA_ARROW_LIST: {
        int64_t last = l->width == 4 ? ((const int32_t *)buffers[1])[t->length]
                                     : ((const int64_t *)buffers[1])[t->length];
        return last < 0 ? INT64_MAX : last;
    }
    default:
        return 0;
    }
}

/* The buffers, and how many items children must have at least. */
static bool
read_buffers(const tree *t, given *g, int64_t *inner)
{
    Py_ssize_t count = PyTuple_GET_SIZE(t->buffers);
    const stoa_array *array = NULL;
    g->buffers = calloc((size_t)count + 1, sizeof(*g->buffers));
    g->sizes = t->layout.kind == STOA_ARROW_VIEWS ? calloc((size_t)count, sizeof(*g->sizes)) : NULL;
    if (g->buffers == NULL || (t->layout.kind == STOA_ARROW_VIEWS && g->sizes == NULL)) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!buffer_of(t, i, least_size(t, i), &array)) {
            return false;
        }
        g->buffers[i] = array == NULL ? NULL : array->data;
        if (i >= 2 && g->sizes != NULL) {
            g->sizes[i - 2] = (int64_t)array->extent;
        }
    }
    g->buffers[count] = g->sizes; /* only views have one more */
    *inner = least_inner(t, g->buffers);
    return t->layout.kind != STOA_ARROW_BYTES || (int64_t)array->extent >= *inner || damaged();
}

/* Are the two children ends of runs, of which the last reaches the end, and as many values? */
static bool
has_runs(const tree *t)
{
    tree ends;
    const stoa_array *array;
    PyObject *values = PyTuple_GET_ITEM(t->children, 1);
    if (!read_tree(PyTuple_GET_ITEM(t->children, 0), &ends)) {
        return false;
    }
    int64_t width = stoa__arrow_end_width(ends.format);
    if (width == 0 || ends.nulls != 0 || ends.dictionary != Py_None || !PyTuple_Check(values) ||
        PyTuple_GET_SIZE(values) < 5 || PyLong_AsLongLong(PyTuple_GET_ITEM(values, 4)) != ends.length ||
        !buffer_of(&ends, 1, ends.length * width, &array)) {
        return damaged();
    }
    if (ends.length == 0) {
        return t->length == 0 || damaged();
    }
    const void *numbers = array->data;
    int64_t last = width == 2   ? ((const int16_t *)numbers)[ends.length - 1]
                   : width == 4 ? ((const int32_t *)numbers)[ends.length - 1]
                                : ((const int64_t *)numbers)[ends.length - 1];
    return last >= t->length || damaged();
}

/* Copies of the texts, one behind the other. */
static bool
give_texts(const tree *t, arrow_schema *schema)
{
    given *g = schema->private_data;
    size_t format = strlen(t->format) + 1, name = t->name == NULL ? 0 : strlen(t->name) + 1;
    size_t metadata = t->metadata == Py_None ? 0 : (size_t)PyBytes_GET_SIZE(t->metadata);
    g->texts = malloc(format + name + metadata);
    if (g->texts == NULL) {
        return false;
    }
    memcpy(g->texts, t->format, format);
    schema->format = g->texts;
    if (name != 0) {
        schema->name = memcpy(g->texts + format, t->name, name);
    }
    if (metadata != 0) {
        schema->metadata = memcpy(g->texts + format + name, PyBytes_AS_STRING(t->metadata), metadata);
    }
    return true;
}

static bool give(PyObject *object, arrow_schema *schema, arrow_array *array, int64_t least, int depth);

/* One child, or the dictionary. Both pointers are set, so that whoever releases the whole frees them. */
static bool
give_part(PyObject *object, arrow_schema **schema, arrow_array **array, int64_t least, int depth)
{
    *schema = calloc(1, sizeof(**schema));
    *array = calloc(1, sizeof(**array));
    if (*schema == NULL || *array == NULL) {
        PyErr_NoMemory();
        return false;
    }
    return give(object, *schema, *array, least, depth);
}

static bool
give_parts(const tree *t, arrow_schema *schema, arrow_array *array, int64_t inner, int depth)
{
    given *of_schema = schema->private_data, *of_array = array->private_data;
    size_t count = (size_t)PyTuple_GET_SIZE(t->children);
    of_schema->schemas = calloc(count + 1, sizeof(*of_schema->schemas));
    of_array->arrays = calloc(count + 1, sizeof(*of_array->arrays));
    if (of_schema->schemas == NULL || of_array->arrays == NULL) {
        PyErr_NoMemory();
        return false;
    }
    schema->children = of_schema->schemas;
    array->children = of_array->arrays;
    for (size_t i = 0; i < count; i++) {
        schema->n_children = array->n_children = (int64_t)i + 1;
        if (!give_part(PyTuple_GET_ITEM(t->children, (Py_ssize_t)i), &schema->children[i],
                       &array->children[i], inner, depth + 1)) {
            return false;
        }
    }
    return t->dictionary == Py_None ||
           give_part(t->dictionary, &schema->dictionary, &array->dictionary, 0, depth + 1);
}

/* Fills two zeroed structs; those of a tree with fewer than `least` items are refused. false: what is filled is to be
 * released. */
static bool
give(PyObject *object, arrow_schema *schema, arrow_array *array, int64_t least, int depth)
{
    tree t;
    int64_t inner;
    schema->release = release_schema;
    array->release = release_array;
    given *of_schema = calloc(1, sizeof(*of_schema)), *of_array = calloc(1, sizeof(*of_array));
    schema->private_data = of_schema;
    array->private_data = of_array;
    if (of_schema == NULL || of_array == NULL) {
        PyErr_NoMemory();
        return false;
    }
    if (depth > STOA_ARROW_DEPTH || !read_tree(object, &t) || t.length < least ||
        (t.layout.kind == STOA_ARROW_RUNS && !has_runs(&t)) || !read_buffers(&t, of_array, &inner)) {
        return damaged();
    }
    if (!give_texts(&t, schema)) {
        PyErr_NoMemory();
        return false;
    }
    schema->flags = t.flags;
    array->length = t.length;
    array->null_count = t.nulls;
    array->n_buffers = PyTuple_GET_SIZE(t.buffers) + (t.layout.kind == STOA_ARROW_VIEWS);
    array->buffers = of_array->buffers;
    return give_parts(&t, schema, array, inner, depth);
}

PyObject *
stoa__arrow_give(PyObject *object)
{
    arrow_schema *schema = calloc(1, sizeof(*schema));
    arrow_array *array = calloc(1, sizeof(*array));
    if (schema == NULL || array == NULL) {
        free(schema);
        free(array);
        return PyErr_NoMemory();
    }
    bool good = give(object, schema, array, 0, 0);
    PyObject *of_schema = good ? stoa__arrow_schema_capsule(schema) : NULL;
    if (of_schema == NULL) {
        if (!good) {
            release_schema(schema);
            free(schema);
        }
        release_array(array);
        free(array);
        return NULL;
    }
    PyObject *of_array = stoa__arrow_array_capsule(array);
    PyObject *result = of_array == NULL ? NULL : PyTuple_Pack(2, of_schema, of_array);
    Py_DECREF(of_schema);
    Py_XDECREF(of_array);
    return result;
}
