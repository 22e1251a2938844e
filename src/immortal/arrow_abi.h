/* Arrow's C data interface itself: its two structs, and the capsules that carry them between libraries of Python.
 *
 * A capsule comes from anybody, and its pointers are believed: the interface has no way to check them. Everything that
 * can be checked is: counts, formats, which buffers and children there are, that offsets only grow.
 */
#ifndef STOA_IMMORTAL_ARROW_ABI_H
#define STOA_IMMORTAL_ARROW_ABI_H

#include <Python.h>
#include <stdbool.h>

/* Fixed by Arrow's specification: their layout is the interface. */
typedef struct arrow_schema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct arrow_schema **children;
    struct arrow_schema *dictionary;
    void (*release)(struct arrow_schema *);
    void *private_data;
} arrow_schema;

typedef struct arrow_array {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct arrow_array **children;
    struct arrow_array *dictionary;
    void (*release)(struct arrow_array *);
    void *private_data;
} arrow_array;

/* Not released, counts that can be, a format. false: ValueError is set. GIL. */
bool stoa__arrow_is_sound(const arrow_schema *schema, const arrow_array *array);

/* What two capsules hold: borrowed. false: an exception is set. GIL. */
bool stoa__arrow_open(PyObject *schema_capsule, PyObject *array_capsule, const arrow_schema **out_schema,
                      const arrow_array **out_array);

/* How many bytes its metadata has: pairs of keys and values, that is a count, then sizes and bytes; and does it name a type
 * of somebody else's making (an extension type), of which the format is only how its items are kept? metadata: not NULL.
 * false: ValueError is set. GIL. */
bool stoa__arrow_read_metadata(const char *metadata, size_t *out_size, bool *out_extension);

/* New capsules; the struct, from malloc, is theirs. NULL: it is released and freed, and an exception is set. GIL. */
PyObject *stoa__arrow_schema_capsule(arrow_schema *schema);
PyObject *stoa__arrow_array_capsule(arrow_array *array);

#endif
