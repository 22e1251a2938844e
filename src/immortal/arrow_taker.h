/* What the files that take Arrow arrays in share (arrow_tree.h): arrow_take.c the tree, arrow_take_views.c items that
 * lie anywhere. */
#ifndef STOA_IMMORTAL_ARROW_TAKER_H
#define STOA_IMMORTAL_ARROW_TAKER_H

#include "immortal/arrow_tree.h"

/* A buffer that is to be shown in a tuple, once the batch is committed. */
typedef struct arrow_pending {
    PyObject *buffers; /* borrowed: part of the tree */
    Py_ssize_t place;
    stoa_array *array;
} arrow_pending;

typedef struct arrow_taker {
    stoa_batch *batch;
    arrow_pending *pending;
    size_t count, room;
    int parts;
} arrow_taker;

/* A part of an array that is meant: items [at, at + count) of its buffers. */
typedef struct arrow_part {
    const arrow_schema *schema;
    const arrow_array *array;
    int64_t at, count;
    stoa_arrow_layout layout;
    PyObject *buffers; /* borrowed */
} arrow_part;

/* false, with ValueError. */
bool stoa__arrow_damaged(const char *what);

/* A buffer of `size` bytes in that place of the part's tuple; where to write it, as a public address. NULL: an
 * exception is set, or batch->err is. */
char *stoa__arrow_new_buffer(arrow_taker *t, const arrow_part *p, Py_ssize_t place, int64_t size);
bool
stoa__arrow_copy_bytes(arrow_taker *t, const arrow_part *p, Py_ssize_t place, const char *from, int64_t size);

/* Items [first, first + size) of a child, as a tree: new reference. */
PyObject *stoa__arrow_take_child(arrow_taker *t, const arrow_part *p, Py_ssize_t i, int64_t first,
                                 int64_t size, int depth);

/* The buffers of views; the codes of a union. */
bool stoa__arrow_take_views(arrow_taker *t, const arrow_part *p);
bool stoa__arrow_copy_codes(arrow_taker *t, const arrow_part *p);

/* Buffers, and a new tuple of the children. */
PyObject *stoa__arrow_take_list_views(arrow_taker *t, const arrow_part *p, int depth);
PyObject *stoa__arrow_take_dense(arrow_taker *t, const arrow_part *p, int depth);
PyObject *stoa__arrow_take_runs(arrow_taker *t, const arrow_part *p, int depth);

#endif
