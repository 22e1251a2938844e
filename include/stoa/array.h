/* \file stoa/array.h
 * \brief Arrays in the shared heap: made and filled by C threads with no GIL, read by every interpreter and by C.
 *
 * An array is bytes with a format, a shape and strides: what Python calls a buffer. In an interpreter it arrives as a
 * read-only numpy.ndarray where NumPy is there, else as a read-only memoryview; never copied, in any of them.
 *
 *     stoa_array_spec spec = {.size = sizeof(spec), .format = "d", .ndim = 2, .shape = shape};
 *     stoa_array_maker *maker;
 *     void *data;
 *     stoa_array_begin(NULL, &spec, &maker, &data);      // any thread; no GIL, no interpreter
 *     … fill data, with as many threads as you like …
 *     stoa_array_seal(maker, &array);                    // when all of them are done: immutable from here on
 *     stoa_publish("measurements", array);
 *
 * Formats are those of Python's struct module: one letter (b B h H i I l L q Q n N e f d ? c P) with a byte order before it
 * if need be ("<i", ">d"), "12s" for 12 bytes of text, "12x" for 12 bytes of anything; also "Zf" and "Zd", complex numbers.
 * Any other format, as the "T{…}" of a record, is handed on to Python as it is; then `itemsize` says how large one is.
 *
 * Outcomes shared by all: STOA_OK writes every out_ argument; any other code writes none and leaves a message.
 */
#ifndef STOA_ARRAY_H
#define STOA_ARRAY_H

#include "stoa/region.h"
#include "stoa/value.h"

STOA_BEGIN_DECLS

#define STOA_ARRAY_MAX_NDIM 64

/* What an array is to be. The struct may grow at its end: `size` is set by the caller to sizeof(stoa_array_spec). */
typedef struct stoa_array_spec {
    size_t size;
    const char *format;  /* UTF-8, below 4096 bytes; NULL: "B" */
    size_t itemsize;     /* bytes of one item; 0: what the format says */
    size_t ndim;         /* 0: one item; at most STOA_ARRAY_MAX_NDIM */
    const size_t *shape; /* ndim numbers; zeros are allowed */
} stoa_array_spec;

/* An array that is being made. */
typedef struct stoa_array_maker stoa_array_maker;

/* Lays out an array in `region` (NULL: the default region), C order, zeroed. *out_data is where to write: 64-byte aligned,
 * valid until seal or discard, from any thread; out_data NULL: only stoa_array_write will write, and memory is taken as
 * it does so. *out_maker is owned: end it with exactly one of the two.
 * STOA_EINVAL: a format without a known size and no itemsize, too many dimensions or bytes. STOA_ENOMEM, at once for more than
 * the machine has. STOA_EGONE: the region is retired. STOA_ESTATE: the runtime was never open. Any thread, no GIL. */
STOA_API stoa_err stoa_array_begin(stoa_region *region, const stoa_array_spec *spec,
                                   stoa_array_maker **out_maker, void **out_data);

/* Copies `size` bytes into the array, to byte `at` of it and on: for what is made a piece at a time in memory that stays in the
 * processor's caches. New memory of the heap costs less this way than when it is written by hand, least in whole
 * multiples of 256 KiB. STOA_EINVAL: beyond the end. STOA_EFORKED: as seal. Any thread, no GIL; several threads may
 * write different parts. */
STOA_API stoa_err stoa_array_write(stoa_array_maker *maker, size_t at, const void *source, size_t size);

/* Makes the array immutable and gives it out; frees the maker. Every write to the data must have happened before. The
 * object lives as long as its region. STOA_EFORKED: the process was forked since begin, and the array is the parent's. */
STOA_API stoa_err stoa_array_seal(stoa_array_maker *maker, const stoa_object **out_array);

/* Gives it up: nothing is left behind. NULL: nothing happens. */
STOA_API void stoa_array_discard(stoa_array_maker *maker);

/* What an array is. `size`: as in stoa_array_spec. All pointers are borrowed and stay as long as the region. */
typedef struct stoa_array_info {
    size_t size;
    const void *data;   /* item [0, 0, …]; not the lowest address when a stride is negative. Never NULL */
    const char *format; /* as given; native byte order unless it says otherwise */
    size_t itemsize;
    size_t ndim;
    const int64_t *shape;   /* ndim numbers */
    const int64_t *strides; /* ndim numbers: bytes from one item to the next along each axis */
    size_t count;           /* of items: the product of the shape */
    bool contiguous;        /* C order without gaps: data is count * itemsize bytes in a row */
} stoa_array_info;

/* STOA_ETYPE: no array. Any thread, no GIL. */
STOA_API stoa_err stoa_get_array(const stoa_object *object, stoa_array_info *info);

STOA_END_DECLS

#endif /* STOA_ARRAY_H */
