/* Arrays: bytes with a format, a shape and strides, in the shared heap.
 *
 * No type of Python's own can stand for an array in every interpreter: a memoryview counts its exports, an ndarray
 * belongs to the interpreter that has NumPy. So an array is a foreign node (foreign.h) whose words are the struct below, and
 * data somewhere in the heap; each interpreter wraps the node in a view of the data (array_view.h). Nothing is copied but
 * once, into the heap. A node may also be a view of what lies in the heap already: part of another array, or of a bytes.
 *
 * Invariants
 *  1. data + sum(min(0, (shape[i]-1) * strides[i])) == low, and every item lies in [low, low + extent), all of it sealed with
 *     or before the node and in a region that the node's region may point into. extent is 0 when there is no item.
 *  2. format ends in a NUL. dtype is NULL or a shared bytes: numpy's pickled dtype, where the format does not say all.
 *  3. An array of objects has format "O" and holds pointers to shared objects; contiguous.
 * Data made here: C order, 64-byte aligned; from STOA_ARRAY_OWN_PAGES on it starts and ends at a page.
 */
#ifndef STOA_IMMORTAL_ARRAY_H
#define STOA_IMMORTAL_ARRAY_H

#include "immortal/foreign.h"
#include "stoa/array.h"

#define STOA_ARRAY_ALIGN ((size_t)64)
#define STOA_ARRAY_OWN_PAGES ((size_t)64 << 10)
#define STOA_ARRAY_MAX_FORMAT ((size_t)4096)

/* The raw words of the node; its one part that is an object is `dtype`, or None. All const once sealed. */
typedef struct stoa_array {
    const char *data; /* item [0, 0, …] */
    const char *low;  /* lowest byte of any item */
    size_t extent;    /* bytes from low to the end of the highest item */
    size_t itemsize;
    size_t count; /* items */
    uint32_t ndim;
    bool contiguous; /* C order without gaps */
    PyObject *dtype;
    const char *format;
    const int64_t *shape, *strides;
} stoa_array;

#define STOA_ARRAY_OFFSET (sizeof(stoa_node) + sizeof(PyObject *)) /* of the struct in the node */

static inline bool
stoa__is_array(const PyObject *object)
{
    return stoa__is_node(object) && ((const stoa_node *)object)->kind == STOA_NODE_ARRAY;
}

static inline const stoa_array *
stoa__array_of_node(const PyObject *node)
{
    return (const stoa_array *)(const void *)((const char *)node + STOA_ARRAY_OFFSET);
}

static inline PyObject *
stoa__array_node(const stoa_array *array)
{
    return (PyObject *)((uintptr_t)array - STOA_ARRAY_OFFSET);
}

/* What an array is to be. Borrowed for the call. */
typedef struct stoa_layout {
    const char *format; /* NUL-terminated */
    size_t itemsize;
    size_t ndim;
    const int64_t *shape;
    const int64_t *strides; /* NULL: C order */
    PyObject *dtype;        /* shared, or NULL */
} stoa_layout;

/* Bytes of one item of this format; 0: a format that only Python can tell the size of, or none. No GIL. */
size_t stoa__format_itemsize(const char *format);
/* Are there Python objects ('O') or pointers ('&', of C strings 'z' and 'Z', of functions 'X') in its items? They mean nothing
 * to others, or worse: NumPy believes them. Names of fields stand between colons. No GIL. */
bool stoa__format_holds_pointers(const char *format);

/* Checks shape, item size and format, and computes the number of items and of bytes. STOA_EINVAL with a message. No GIL. */
stoa_err stoa__layout_measure(const stoa_layout *layout, size_t *out_count, size_t *out_bytes);

/* The node of a new array in C order with data of its own: *out_data is its public address, to be filled before the batch is
 * committed, through the writable view; zeroed. layout->strides is ignored. `bare`: stoa__fill will fill it
 * (heap/fill.h). NULL: batch->err and the message are set. No GIL. */
stoa_array *stoa__array_make(stoa_batch *batch, const stoa_layout *layout, bool bare, char **out_data);

/* The node of a view of memory in the heap. NULL: as above; STOA_EINVAL also for what is not sealed, or not in one chunk of a
 * region that may be pointed at. No GIL. */
stoa_array *stoa__array_view(stoa_batch *batch, const stoa_layout *layout, const char *data);

/* Does the memory that the layout reaches from `data` lie in the heap, sealed and reachable from `region`? No GIL. */
bool stoa__array_lies_in_heap(const stoa_region *region, const stoa_layout *layout, const char *data);

/* Copies items in any layout to C order at public address `target`: no overlap. No GIL. */
void stoa__array_gather(char *target, const stoa_layout *layout, const char *data);

#endif
