/* Arrow arrays that are no shared array: with nulls, text, bytes, bits, lists, structs, dictionaries, views, unions, runs,
 * extension types.
 *
 * What such an array consists of is a few buffers of bytes, and children made alike. Buffers are what the heap is good at; so the
 * frozen form keeps them as they are, each a shared array of bytes, in a tree of tuples that freezes like any tuple. Python
 * code (stoa/_arrow.py) reads items from it, and it goes out again as the same Arrow array over the same memory.
 *
 *     tree = (format, name or None, flags, metadata or None, length, null count, buffers, children, dictionary or None)
 *
 * name, metadata: text and bytes; buffers: shared arrays, None for one that is not there; children, dictionary: trees.
 * What came in is cut to the part that was meant: offset is always 0, offsets of text and lists begin at 0, and grow. A
 * validity buffer is there only if there are nulls. Of views (of text, bytes, lists), unions and runs, whose items may
 * lie anywhere, the least stretch is kept that holds all that are meant; the buffer with the sizes of the others, which
 * Arrow wants of views, is not among a tree's: they know their sizes.
 */
#ifndef STOA_IMMORTAL_ARROW_TREE_H
#define STOA_IMMORTAL_ARROW_TREE_H

#include "immortal/array.h"
#include "immortal/arrow_abi.h"

#define STOA_ARROW_DEPTH 64

/* The tree of two sound structs, which are only read: its buffers are copied once, in `batch`, which is committed or aborted. New
 * reference; NULL with TypeError (a type that is not known), ValueError (damaged, or too deep), MemoryError. GIL; released while
 * much is copied: the caller holds the capsules. */
PyObject *stoa__arrow_take(stoa_batch *batch, const arrow_schema *schema, const arrow_array *array);

/* New tuple of two capsules over the memory of a tree. NULL with TypeError, ValueError: it is none, or damaged. GIL. */
PyObject *stoa__arrow_give(PyObject *tree);

/* What a format means for the buffers. */
typedef enum stoa_arrow_kind {
    STOA_ARROW_NULL,       /* no buffer */
    STOA_ARROW_BITS,       /* validity, bits */
    STOA_ARROW_FIXED,      /* validity, items of `width` bytes */
    STOA_ARROW_BYTES,      /* validity, offsets of `width` bytes each, bytes */
    STOA_ARROW_LIST,       /* validity, offsets of `width` bytes each; a child */
    STOA_ARROW_FIXED_LIST, /* validity; a child with `width` items for each */
    STOA_ARROW_STRUCT,     /* validity; children as long as it is */
    STOA_ARROW_VIEWS,      /* validity, views of `width` bytes, any number of buffers of bytes */
    STOA_ARROW_LIST_VIEWS, /* validity, offsets and sizes of `width` bytes each; a child */
    STOA_ARROW_SPARSE,     /* type codes; children as long as it is */
    STOA_ARROW_DENSE,      /* type codes, offsets of `width` bytes each; children of any length */
    STOA_ARROW_RUNS        /* no buffer; a child of ends, a child of values */
} stoa_arrow_kind;

typedef struct stoa_arrow_layout {
    stoa_arrow_kind kind;
    int64_t width;
    int buffers;      /* of views: at least */
    int64_t children; /* -1: any number */
} stoa_arrow_layout;

/* A view of text or bytes: all of it, or where it lies. */
typedef struct stoa_arrow_view {
    int32_t size;
    union {
        char bytes[12]; /* size <= 12 */
        struct {
            char prefix[4];
            int32_t buffer, offset;
        } far;
    };
} stoa_arrow_view;

/* Is the first buffer that of the validity? */
static inline bool
stoa__arrow_has_validity(const stoa_arrow_layout *layout)
{
    return layout->buffers > 0 && layout->kind != STOA_ARROW_SPARSE && layout->kind != STOA_ARROW_DENSE;
}

/* Which children of a union of this format its type codes mean: children[code], -1: none. How many children; -1: no
 * such format. */
int stoa__arrow_type_codes(const char *format, int8_t children[128]);

/* Bytes of a run's end; 0: that is no format of ends. */
int64_t stoa__arrow_end_width(const char *format);

/* Bytes of an item of a type of fixed width; 0: of another type. */
int64_t stoa__arrow_fixed_width(const char *format);

/* false: TypeError is set. GIL. */
bool stoa__arrow_layout(const char *format, stoa_arrow_layout *out);

#endif
