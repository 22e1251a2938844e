#include "immortal/arrow.h"

#include "heap/fill.h"
#include "heap/process.h"
#include "immortal/arrow_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arrow's letter and ours (itemsize tells i from l). */
static const struct {
    char arrow, ours;
} letters[] = {{'c', 'b'}, {'C', 'B'}, {'s', 'h'}, {'S', 'H'}, {'i', 'i'}, {'I', 'I'},
               {'l', 'q'}, {'L', 'Q'}, {'e', 'e'}, {'f', 'f'}, {'g', 'd'}};

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* What hangs off a struct that is given out. */
typedef struct out_part {
    const void *buffers[2];
    uint8_t *bits; /* booleans, packed as Arrow has them: the one thing that is copied */
    void *child;   /* the array of one child's address */
    char format[32];
} out_part;

static bool
arrow_format(const stoa_array *a, char *out, size_t size)
{
    const char *format = a->format;
    if (*format == '<' || *format == '=' || *format == '@') {
        format++;
    }
    size_t length = strlen(format);
    if (length > 1 && (format[length - 1] == 's' || format[length - 1] == 'x') &&
        stoa__format_itemsize(a->format) == a->itemsize) {
        snprintf(out, size, "w:%zu", a->itemsize);
        return true;
    }
    char letter = length != 1 ? '\0' : *format;
    if (letter == 'l' || letter == 'n') {
        letter = a->itemsize == 8 ? 'q' : 'i';
    }
    if (letter == 'L' || letter == 'N') {
        letter = a->itemsize == 8 ? 'Q' : 'I';
    }
    if (letter == '?') {
        snprintf(out, size, "b");
        return true;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(letters); i++) {
        if (letter == letters[i].ours) {
            snprintf(out, size, "%c", letters[i].arrow);
            return true;
        }
    }
    PyErr_Format(PyExc_TypeError, "Arrow has no numbers of format '%s'; view or convert them first", a->format);
    return false;
}

static void
release_schema(arrow_schema *schema)
{
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release != NULL) {
            schema->children[i]->release(schema->children[i]);
        }
        free(schema->children[i]);
    }
    free(schema->private_data);
    schema->release = NULL;
}

static void
release_array(arrow_array *array)
{
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release != NULL) {
            array->children[i]->release(array->children[i]);
        }
        free(array->children[i]);
    }
    free(((out_part *)array->private_data)->bits);
    free(array->private_data);
    array->release = NULL;
}

/* Fills `schema` for the axes from `axis` on: the last one is the numbers themselves. */
static bool
fill_schema(arrow_schema *schema, const stoa_array *a, size_t axis, const char *leaf)
{
    out_part *part = calloc(1, sizeof(*part));
    bool is_leaf = axis + 1 >= a->ndim;
    arrow_schema *child = is_leaf ? NULL : calloc(1, sizeof(*child));
    if (part == NULL || (!is_leaf && (child == NULL || !fill_schema(child, a, axis + 1, leaf)))) {
        free(part);
        free(child);
        return false;
    }
    if (is_leaf) {
        snprintf(part->format, sizeof(part->format), "%s", leaf);
    }
    else {
        snprintf(part->format, sizeof(part->format), "+w:%lld", (long long)a->shape[axis + 1]);
    }
    part->child = child;
    *schema = (arrow_schema){.format = part->format,
                             .name = axis == 0 ? "" : "item",
                             .n_children = is_leaf ? 0 : 1,
                             .children = is_leaf ? NULL : (arrow_schema **)(void *)&part->child,
                             .release = release_schema,
                             .private_data = part};
    return true;
}

/* New: bit i is whether byte i is not zero. */
static uint8_t *
pack_bits(const char *bytes, size_t count)
{
    uint8_t *bits = calloc(count / 8 + 1, 1);
    for (size_t i = 0; bits != NULL && i < count; i++) {
        bits[i / 8] |= (uint8_t)((bytes[i] != 0) << i % 8);
    }
    return bits;
}

static bool
fill_array(arrow_array *array, const stoa_array *a, size_t axis, int64_t length, bool packed)
{
    out_part *part = calloc(1, sizeof(*part));
    bool is_leaf = axis + 1 >= a->ndim;
    arrow_array *child = is_leaf ? NULL : calloc(1, sizeof(*child));
    int64_t below = is_leaf ? 0 : length * a->shape[axis + 1];
    if (part != NULL && is_leaf && packed) {
        part->bits = pack_bits(a->data, a->count);
    }
    if (part == NULL || (is_leaf && packed && part->bits == NULL) ||
        (!is_leaf && (child == NULL || !fill_array(child, a, axis + 1, below, packed)))) {
        free(part);
        free(child);
        return false;
    }
    part->buffers[1] = packed ? (const void *)part->bits : a->data;
    part->child = child;
    *array = (arrow_array){.length = length,
                           .n_buffers = is_leaf ? 2 : 1,
                           .n_children = is_leaf ? 0 : 1,
                           .buffers = part->buffers,
                           .children = is_leaf ? NULL : (arrow_array **)(void *)&part->child,
                           .release = release_array,
                           .private_data = part};
    return true;
}

PyObject *
stoa__arrow_schema(const stoa_array *a)
{
    char leaf[32];
    if (!arrow_format(a, leaf, sizeof(leaf))) {
        return NULL;
    }
    arrow_schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL || !fill_schema(schema, a, 0, leaf)) {
        free(schema);
        return PyErr_NoMemory();
    }
    return stoa__arrow_schema_capsule(schema);
}

PyObject *
stoa__arrow_export(const stoa_array *a)
{
    if (!a->contiguous) {
        PyErr_SetString(PyExc_BufferError,
                        "the items of this shared array do not lie in a row, as Arrow wants them; copy it");
        return NULL;
    }
    PyObject *schema = stoa__arrow_schema(a), *result = NULL;
    arrow_array *array = schema == NULL ? NULL : calloc(1, sizeof(*array));
    bool packed = schema != NULL && strchr(a->format, '?') != NULL;
    if (array == NULL || !fill_array(array, a, 0, a->ndim == 0 ? 1 : a->shape[0], packed)) {
        free(array);
        Py_XDECREF(schema);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    PyObject *capsule = stoa__arrow_array_capsule(array);
    if (capsule != NULL) {
        result = PyTuple_Pack(2, schema, capsule);
        Py_DECREF(capsule);
    }
    Py_DECREF(schema);
    return result;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

/* What is being read: the numbers at the bottom, and the way down to them. */
typedef struct source {
    char format[24]; /* ours */
    size_t itemsize;
    bool bits;  /* booleans, eight a byte */
    bool other; /* it is no array of numbers alone, or has nulls: no exception is set */
    int64_t shape[STOA_ARRAY_MAX_NDIM];
    size_t ndim;
    const char *values;
    int64_t first, count; /* items of `values` */
} source;

static bool
is_other(source *s)
{
    s->other = true;
    return false;
}

static bool
read_number_format(source *s, const char *format)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(letters); i++) {
        if (format[0] == letters[i].arrow && format[1] == '\0') {
            s->format[0] = letters[i].ours;
            s->itemsize = stoa__format_itemsize(s->format);
            return true;
        }
    }
    if (strcmp(format, "b") == 0) {
        s->bits = true;
        strcpy(s->format, "?");
        s->itemsize = 1;
        return true;
    }
    if (strncmp(format, "w:", 2) == 0) {
        long width = strtol(format + 2, NULL, 10);
        if (width > 0 && width < INT32_MAX && stoa__arrow_fixed_width(format) != 0) {
            snprintf(s->format, sizeof(s->format), "%lds", width);
            s->itemsize = (size_t)width;
            return true;
        }
    }
    if (format[0] == 't' && format[1] != 'i') { /* dates and times: as the numbers they are kept as */
        int64_t width = stoa__arrow_fixed_width(format);
        if (width != 0) {
            strcpy(s->format, width == 4 ? "i" : "q");
            s->itemsize = (size_t)width;
            return true;
        }
    }
    return is_other(s);
}

static bool
has_nulls(const arrow_array *array, int64_t first, int64_t count)
{
    if (array->null_count == 0 || array->n_buffers < 1 || array->buffers[0] == NULL) {
        return false;
    }
    const uint8_t *valid = array->buffers[0];
    for (int64_t i = first; i < first + count; i++) {
        if (!(valid[i / 8] >> (i % 8) & 1)) {
            return true;
        }
    }
    return false;
}

/* An array of numbers has no place for the name of another type: those go as trees. */
static bool
is_plain(source *s, const arrow_schema *schema)
{
    size_t size;
    bool extension = false;
    if (schema->metadata != NULL && !stoa__arrow_read_metadata(schema->metadata, &size, &extension)) {
        return false;
    }
    return !extension || is_other(s);
}

static bool
read_source(source *s, const arrow_schema *schema, const arrow_array *array)
{
    int64_t first = 0, count = array->length;
    s->shape[s->ndim++] = count;
    for (;;) {
        if (!stoa__arrow_is_sound(schema, array)) {
            return false;
        }
        if (count > array->length - first) {
            PyErr_SetString(PyExc_ValueError,
                            "the Arrow array is damaged: a list has more items than its child");
            return false;
        }
        first += array->offset;
        if (schema->dictionary != NULL) {
            return is_other(s);
        }
        if (!is_plain(s, schema)) {
            return false;
        }
        if (has_nulls(array, first, count)) {
            return is_other(s);
        }
        if (strncmp(schema->format, "+w:", 3) != 0) {
            break;
        }
        char *end;
        int64_t width = strtoll(schema->format + 3, &end, 10);
        if (end == schema->format + 3 || *end != '\0' || schema->n_children != 1 || array->n_children != 1 ||
            width < 0 || width > INT32_MAX || s->ndim == STOA_ARRAY_MAX_NDIM ||
            first > PTRDIFF_MAX / 64 / (width + 1) || count > PTRDIFF_MAX / 64 / (width + 1)) {
            return is_other(s);
        }
        s->shape[s->ndim++] = width;
        first *= width;
        count *= width;
        schema = schema->children[0];
        array = array->children[0];
    }
    if (!read_number_format(s, schema->format)) {
        return false;
    }
    if (count != 0 && (array->n_buffers != 2 || array->buffers[1] == NULL)) {
        PyErr_SetString(PyExc_ValueError, "the Arrow array is damaged: it has no values");
        return false;
    }
    s->values = count != 0 ? array->buffers[1] : "";
    s->first = first;
    s->count = count;
    return true;
}

stoa_array *
stoa__arrow_import(stoa_batch *batch, const arrow_schema *schema, const arrow_array *array, bool *out_other)
{
    source s = {.ndim = 0};
    *out_other = false;
    if (!read_source(&s, schema, array)) {
        *out_other = s.other;
        return NULL;
    }
    stoa_layout layout = {.format = s.format, .itemsize = s.itemsize, .ndim = s.ndim, .shape = s.shape};
    char *data;
    stoa_array *node = stoa__array_make(batch, &layout, true, &data);
    if (node == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
        if (s.bits) {
            char *to = stoa__rw(data);
            const uint8_t *from = (const uint8_t *)s.values;
            for (int64_t i = 0; i < s.count; i++) {
                int64_t at = s.first + i;
                to[i] = (char)(from[at / 8] >> (at % 8) & 1);
            }
        }
        else {
            stoa__fill(data, s.values + (size_t)s.first * s.itemsize, (size_t)s.count * s.itemsize);
        }
    Py_END_ALLOW_THREADS
    return node;
}
