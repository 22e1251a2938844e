#include "immortal/arrow_abi.h"

#include <stdlib.h>
#include <string.h>

#define MOST_METADATA ((int32_t)1 << 24) /* bytes of one key or value, and how many */

bool
stoa__arrow_is_sound(const arrow_schema *schema, const arrow_array *array)
{
    if (array->release == NULL || array->length < 0 || array->offset < 0 || array->n_buffers < 0 ||
        array->n_children < 0 || array->length > PTRDIFF_MAX / 64 || array->offset > PTRDIFF_MAX / 64 ||
        (array->n_buffers > 0 && array->buffers == NULL) || (array->n_children > 0 && array->children == NULL)) {
        PyErr_SetString(PyExc_ValueError, "the Arrow array was released already, or its counts are damaged");
        return false;
    }
    if (schema->release == NULL || schema->format == NULL || schema->n_children != array->n_children ||
        (schema->n_children > 0 && schema->children == NULL)) {
        PyErr_SetString(PyExc_ValueError,
                        "the Arrow schema was released already, is damaged, or is that of another array");
        return false;
    }
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i] == NULL || schema->children[i] == NULL) {
            PyErr_Format(PyExc_ValueError, "the Arrow array is damaged: child %lld is missing", (long long)i);
            return false;
        }
    }
    return true;
}

bool
stoa__arrow_open(PyObject *schema_capsule, PyObject *array_capsule, const arrow_schema **out_schema,
                 const arrow_array **out_array)
{
    *out_schema = PyCapsule_GetPointer(schema_capsule, "arrow_schema");
    *out_array = *out_schema == NULL ? NULL : PyCapsule_GetPointer(array_capsule, "arrow_array");
    return *out_array != NULL && stoa__arrow_is_sound(*out_schema, *out_array);
}

bool
stoa__arrow_read_metadata(const char *metadata, size_t *out_size, bool *out_extension)
{
    static const char extension[] = "ARROW:extension:name";
    int32_t pairs, size;
    const char *at = metadata + sizeof(pairs);
    *out_extension = false;
    memcpy(&pairs, metadata, sizeof(pairs));
    if (pairs < 0 || pairs > MOST_METADATA / 8) {
        PyErr_SetString(PyExc_ValueError,
                        "the Arrow array is damaged: its metadata says that it has more keys than can be");
        return false;
    }
    for (int32_t i = 0; i < 2 * pairs; i++, at += sizeof(size) + (size_t)size) {
        memcpy(&size, at, sizeof(size));
        if (size < 0 || size > MOST_METADATA) {
            PyErr_SetString(PyExc_ValueError,
                            "the Arrow array is damaged: its metadata has a text of a size that cannot be");
            return false;
        }
        *out_extension |= i % 2 == 0 && size == (int32_t)strlen(extension) &&
                          memcmp(at + sizeof(size), extension, (size_t)size) == 0;
    }
    *out_size = (size_t)(at - metadata);
    return true;
}

static void
free_schema_capsule(PyObject *capsule)
{
    arrow_schema *schema = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (schema->release != NULL) { /* else somebody has moved it away */
        schema->release(schema);
    }
    free(schema);
}

static void
free_array_capsule(PyObject *capsule)
{
    arrow_array *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array->release != NULL) {
        array->release(array);
    }
    free(array);
}

PyObject *
stoa__arrow_schema_capsule(arrow_schema *schema)
{
    PyObject *capsule = PyCapsule_New(schema, "arrow_schema", free_schema_capsule);
    if (capsule == NULL) {
        schema->release(schema);
        free(schema);
    }
    return capsule;
}

PyObject *
stoa__arrow_array_capsule(arrow_array *array)
{
    PyObject *capsule = PyCapsule_New(array, "arrow_array", free_array_capsule);
    if (capsule == NULL) {
        array->release(array);
        free(array);
    }
    return capsule;
}
