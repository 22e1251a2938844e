/* What the files behind image.h share: tags of intern keys, failing, allocating. */
#ifndef STOA_IMMORTAL_IMAGE_PARTS_H
#define STOA_IMMORTAL_IMAGE_PARTS_H

#include "heap/error.h"
#include "heap/intern.h"
#include "immortal/canonical_table.h"
#include "immortal/hash.h"
#include "immortal/image.h"

/* First half of an intern key: content of different types must not meet (1, 1.0 and True are three objects). */
enum {
    STOA_TAG_STR = 0x10, /* + kind * 2 + ascii */
    STOA_TAG_BYTES = 0x20,
    STOA_TAG_INT, /* + 0x100 when negative */
    STOA_TAG_FLOAT,
    STOA_TAG_COMPLEX,
    STOA_TAG_TUPLE,
    STOA_TAG_RANGE,
    STOA_TAG_SLICE,
    STOA_TAG_FROZENSET,
    STOA_TAG_MAPPING,
    STOA_TAG_DATE
};

#define STOA_GC_HEAD sizeof(stoa_gc_head)
#define STOA_LARGEST \
    ((size_t)PY_SSIZE_T_MAX / 8) /* bytes of one object: no size computation overflows below it */

#define stoa__image_fail(batch, code, ...) \
    ((batch)->err = stoa__fail((code), __VA_ARGS__), (stoa_shared *)NULL)

static inline bool
stoa__interning(const stoa_batch *batch)
{
    return (batch->flags & STOA_BATCH_INTERN) != 0;
}

/* The object that has this content already. `same` gets `wanted`. */
static inline stoa_shared *
stoa__find_image(stoa_batch *batch, stoa_key key, stoa_same_fn same, const void *wanted)
{
    return (stoa_shared *)(uintptr_t)stoa__intern_find(batch, key, same, wanted);
}

static inline stoa_shared *
stoa__no_room(stoa_batch *batch, const char *what)
{
    return stoa__image_fail(batch, STOA_ENOMEM, "a %s of this size does not fit into an address space", what);
}

#endif
