/* Copying items of any layout into C order. */
#include "heap/fill.h"
#include "heap/process.h"
#include "immortal/array.h"

#include <string.h>

/* One row: `count` items, `stride` bytes apart. The common sizes get a loop of their own. */
static void
copy_row(char *to, const char *from, size_t itemsize, int64_t count, int64_t stride)
{
#define COPY_ROW(type)                                                               \
    do {                                                                             \
        for (int64_t i = 0; i < count; i++) {                                        \
            memcpy(to + i * (int64_t)sizeof(type), from + i * stride, sizeof(type)); \
        }                                                                            \
    } while (0)
    switch (itemsize) {
    case 1:
        COPY_ROW(uint8_t);
        break;
    case 2:
        COPY_ROW(uint16_t);
        break;
    case 4:
        COPY_ROW(uint32_t);
        break;
    case 8:
        COPY_ROW(uint64_t);
        break;
    default:
        for (int64_t i = 0; i < count; i++) {
            memcpy(to + i * (int64_t)itemsize, from + i * stride, itemsize);
        }
    }
#undef COPY_ROW
}

/* Axes of one item say nothing; neighbours that lie in a row are one axis with larger items. Returns how many remain. */
static size_t
fold(const stoa_layout *layout, size_t *itemsize, int64_t *shape, int64_t *strides)
{
    size_t ndim = 0;
    for (size_t i = 0; i < layout->ndim; i++) {
        if (layout->shape[i] != 1) {
            shape[ndim] = layout->shape[i];
            strides[ndim++] = layout->strides[i];
        }
    }
    while (ndim > 0 && strides[ndim - 1] == (int64_t)*itemsize) {
        *itemsize *= (size_t)shape[--ndim];
    }
    return ndim;
}

void
stoa__array_gather(char *target, const stoa_layout *layout, const char *data)
{
    size_t count, bytes, itemsize = layout->itemsize;
    if (stoa__layout_measure(layout, &count, &bytes) != STOA_OK || bytes == 0) {
        return;
    }
    int64_t shape[STOA_ARRAY_MAX_NDIM], strides[STOA_ARRAY_MAX_NDIM], at[STOA_ARRAY_MAX_NDIM] = {0};
    size_t ndim = 0;
    if (layout->strides != NULL) {
        ndim = fold(layout, &itemsize, shape, strides);
    }
    else {
        itemsize = bytes;
    }
    if (ndim == 0) {
        stoa__fill(target, data, itemsize);
        return;
    }
    stoa__fill_prepare(target, bytes);
    char *to = stoa__rw(target);
    size_t inner = ndim - 1, row = itemsize * (size_t)shape[inner];
    for (;;) {
        copy_row(to, data, itemsize, shape[inner], strides[inner]);
        to += row;
        size_t axis = inner;
        for (;;) { /* the next row: odometer over the outer axes */
            if (axis == 0) {
                return;
            }
            axis--;
            data += strides[axis];
            if (++at[axis] < shape[axis]) {
                break;
            }
            data -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
    }
}
