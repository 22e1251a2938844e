#include "immortal/array.h"

#include "heap/error.h"
#include "heap/os.h"
#include "heap/process_struct.h"
#include "heap/region.h"

#include <string.h>

/* ---- formats ------------------------------------------------------------------------------------------------------- */

/* Bytes of one letter; `standard`: with a byte order before it, which fixes the sizes. */
static size_t
letter_size(char letter, bool standard)
{
    switch (letter) {
    case 'b':
    case 'B':
    case 'c':
    case '?':
    case 's':
    case 'x':
    case 'p':
        return 1;
    case 'h':
    case 'H':
    case 'e':
    case 'u':
        return 2;
    case 'i':
    case 'I':
    case 'f':
    case 'w':
        return 4;
    case 'l':
    case 'L':
        return standard ? 4 : sizeof(long);
    case 'q':
    case 'Q':
    case 'd':
        return 8;
    case 'n':
    case 'N':
    case 'P':
    case 'O':
        return standard ? 0 : sizeof(void *);
    case 'g':
        return standard ? 0 : sizeof(long double);
    default:
        return 0;
    }
}

size_t
stoa__format_itemsize(const char *format)
{
    bool standard = *format != '\0' && strchr("<>=!", *format) != NULL;
    if (standard || *format == '@') {
        format++;
    }
    size_t times = 1;
    if (*format >= '0' && *format <= '9') {
        times = 0;
        for (; *format >= '0' && *format <= '9'; format++) {
            times = times * 10 + (size_t)(*format - '0');
            if (times > UINT32_MAX) {
                return 0;
            }
        }
        if (*format == '\0' || strchr("sxpwu", *format) == NULL) {
            return 0; /* "3i" is three items to some and one to others */
        }
    }
    if (*format == 'Z') {
        times = 2;
        format++;
        if (*format == '\0' || strchr("fdg", *format) == NULL) {
            return 0;
        }
    }
    return *format != '\0' && format[1] == '\0' ? times * letter_size(*format, standard) : 0;
}

/* 'Z' is a complex number where a letter of one comes behind it. */
static bool
is_pointer(const char *letter)
{
    return strchr("O&Xz", *letter) != NULL ||
           (*letter == 'Z' && (letter[1] == '\0' || strchr("fdg", letter[1]) == NULL));
}

bool
stoa__format_holds_pointers(const char *format)
{
    bool name = false;
    for (; *format != '\0'; format++) {
        if (*format == ':') {
            name = !name;
        }
        else if (!name && is_pointer(format)) {
            return true;
        }
    }
    return false;
}

stoa_err
stoa__layout_measure(const stoa_layout *layout, size_t *out_count, size_t *out_bytes)
{
    if (layout->ndim > STOA_ARRAY_MAX_NDIM) {
        return stoa__fail(STOA_EINVAL, "an array of %zu dimensions: at most %d are possible", layout->ndim,
                          STOA_ARRAY_MAX_NDIM);
    }
    if (strlen(layout->format) >= STOA_ARRAY_MAX_FORMAT) {
        return stoa__fail(STOA_EINVAL, "the format of an array must have fewer than %zu bytes",
                          STOA_ARRAY_MAX_FORMAT);
    }
    /* zeros do not excuse dimensions that no memory could hold: strides are computed from them */
    size_t count = 1, bytes = layout->itemsize;
    bool empty = false;
    for (size_t i = 0; i < layout->ndim; i++) {
        if (layout->shape[i] < 0) {
            return stoa__fail(STOA_EINVAL, "dimension %zu of the array is negative: %lld", i,
                              (long long)layout->shape[i]);
        }
        empty |= layout->shape[i] == 0;
        if (layout->shape[i] > 1 && (__builtin_mul_overflow(bytes, (size_t)layout->shape[i], &bytes) ||
                                     __builtin_mul_overflow(count, (size_t)layout->shape[i], &count))) {
            bytes = SIZE_MAX;
            break;
        }
    }
    if (bytes > PTRDIFF_MAX / 2) {
        return stoa__fail(STOA_EINVAL, "the shape of the array asks for more bytes than there are addresses");
    }
    *out_count = empty ? 0 : count;
    *out_bytes = empty ? 0 : bytes;
    return STOA_OK;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

static void
fill_strides(int64_t *strides, const stoa_layout *layout)
{
    int64_t step = (int64_t)layout->itemsize;
    for (size_t i = layout->ndim; i-- > 0;) {
        strides[i] = step;
        step *= layout->shape[i] > 1 ? layout->shape[i] : 1;
    }
}

static bool
is_contiguous(const stoa_layout *layout, size_t count)
{
    int64_t step = (int64_t)layout->itemsize;
    for (size_t i = layout->ndim; i-- > 0 && layout->strides != NULL && count != 0;) {
        if (layout->shape[i] > 1 && layout->strides[i] != step) {
            return false;
        }
        step *= layout->shape[i];
    }
    return true;
}

/* From the first item: bytes down to the lowest one, and up to the end of the highest one. Nothing overflows: a layout
 * that somebody has memory for spans less than the address space. False: it does. */
static bool
reach(const stoa_layout *layout, size_t count, size_t bytes, size_t *down, size_t *up)
{
    *down = 0;
    *up = layout->strides == NULL ? bytes : layout->itemsize;
    if (count == 0) {
        *up = 0;
        return true;
    }
    for (size_t i = 0; i < layout->ndim && layout->strides != NULL; i++) {
        int64_t span;
        size_t *side = layout->strides[i] < 0 ? down : up;
        if (__builtin_mul_overflow(layout->strides[i], layout->shape[i] - 1, &span) ||
            __builtin_add_overflow(*side, (size_t)(span < 0 ? -span : span), side)) {
            return false;
        }
    }
    return *down < PTRDIFF_MAX && *up < PTRDIFF_MAX;
}

/* The node; its fields of the data are set by the caller. */
static stoa_array *
make_node(stoa_batch *batch, const stoa_layout *layout, size_t count)
{
    size_t format_size = strlen(layout->format) + 1, axes = layout->ndim * sizeof(int64_t);
    size_t raw = (sizeof(stoa_array) + 2 * axes + format_size + sizeof(void *) - 1) / sizeof(void *);
    PyObject *parts[1 + (sizeof(stoa_array) + STOA_ARRAY_MAX_FORMAT) / sizeof(void *) + 2 * STOA_ARRAY_MAX_NDIM];
    memset(parts, 0, (1 + raw) * sizeof(void *));
    parts[0] = layout->dtype != NULL ? layout->dtype : Py_None;
    PyObject *node = stoa__make_node(batch, STOA_NODE_ARRAY, 0, parts, 1 + raw, (uint32_t)raw);
    if (node == NULL) {
        return NULL;
    }
    const stoa_array *array = stoa__array_of_node(node);
    stoa_array *w = stoa__rw(array);
    int64_t *shape = (int64_t *)(w + 1), *strides = shape + layout->ndim;
    if (axes != 0) { /* a zero-dimensional one has neither */
        memcpy(shape, layout->shape, axes);
    }
    if (axes != 0 && layout->strides != NULL) {
        memcpy(strides, layout->strides, axes);
    }
    else {
        fill_strides(strides, layout);
    }
    memcpy(strides + layout->ndim, layout->format, format_size);
    w->itemsize = layout->itemsize;
    w->count = count;
    w->ndim = (uint32_t)layout->ndim;
    w->contiguous = is_contiguous(layout, count);
    w->dtype = layout->dtype;
    w->shape = (const int64_t *)(const void *)(array + 1);
    w->strides = w->shape + layout->ndim;
    w->format = (const char *)(w->strides + layout->ndim);
    return (stoa_array *)(uintptr_t)array;
}

/* What the machine has no memory for is refused before it is asked for: the kernel would end the process, or another one. */
static stoa_err
check_memory(size_t bytes)
{
    if (bytes < STOA_GRANULE || stoa__process->space.scarce || bytes <= stoa__os_memory()) {
        return STOA_OK;
    }
    return stoa__fail(STOA_ENOMEM, "an array of %zu bytes is larger than the memory of this machine, %zu bytes",
                      bytes, stoa__os_memory());
}

stoa_array *
stoa__array_make(stoa_batch *batch, const stoa_layout *layout, bool bare, char **out_data)
{
    stoa_layout own = *layout;
    size_t count, bytes;
    own.strides = NULL;
    batch->err = stoa__layout_measure(&own, &count, &bytes);
    if (batch->err == STOA_OK) {
        batch->err = check_memory(bytes);
    }
    stoa_array *node = batch->err != STOA_OK ? NULL : make_node(batch, &own, count);
    if (node == NULL) {
        return NULL;
    }
    size_t alignment = STOA_ARRAY_ALIGN, room = bytes;
    if (bytes >= STOA_ARRAY_OWN_PAGES) {
        alignment = stoa__os_page_size();
        room = (bytes + alignment - 1) & ~(alignment - 1);
    }
    if (bytes >= STOA_GRANULE) {
        alignment = STOA_GRANULE; /* huge pages start at multiples of two of them */
    }
    unsigned flags = batch->flags;
    batch->flags |= bare ? STOA_BATCH_BARE : 0;
    char *data = stoa__batch_alloc_aligned(batch, room, alignment);
    batch->flags = flags;
    if (data == NULL) {
        return NULL;
    }
    stoa_array *w = stoa__rw(node);
    w->data = w->low = data;
    w->extent = bytes;
    *out_data = data;
    return node;
}

/* Are these bytes sealed, in one chunk, of this region or of one it may point into? */
static bool
is_sealed(const stoa_region *region, const char *low, size_t extent)
{
    uint32_t id = stoa__in_heap(low) ? stoa__region_of(low) : 0;
    if (id == 0 || !stoa__region_reaches(region, id)) {
        return false;
    }
    const stoa_space *space = &stoa__process->space;
    const stoa_granule *first = stoa__granule_first(space, low);
    uintptr_t chunk = space->public_base + ((uintptr_t)(first - space->granules) << STOA_GRANULE_SHIFT);
    /* acquire: pairs with the release store of stoa__chunk_seal */
    size_t sealed = atomic_load_explicit(&first->sealed, memory_order_acquire);
    size_t offset = (uintptr_t)low - chunk;
    return offset <= sealed && extent <= sealed - offset;
}

bool
stoa__array_lies_in_heap(const stoa_region *region, const stoa_layout *layout, const char *data)
{
    size_t count, bytes, down, up;
    return stoa__in_heap(data) && stoa__layout_measure(layout, &count, &bytes) == STOA_OK &&
           reach(layout, count, bytes, &down, &up) && is_sealed(region, data - down, down + up);
}

stoa_array *
stoa__array_view(stoa_batch *batch, const stoa_layout *layout, const char *data)
{
    size_t count, bytes, down = 0, up = 0;
    batch->err = stoa__layout_measure(layout, &count, &bytes);
    if (batch->err != STOA_OK) {
        return NULL;
    }
    if (!reach(layout, count, bytes, &down, &up) || !is_sealed(batch->region, data - down, down + up)) {
        batch->err = stoa__fail(STOA_EINVAL,
                                "the memory at %p is not shared, or lies in another region; copy it instead",
                                (const void *)data);
        return NULL;
    }
    stoa_array *node = make_node(batch, layout, count);
    if (node != NULL) {
        stoa_array *w = stoa__rw(node);
        w->data = data;
        w->low = data - down;
        w->extent = down + up;
    }
    return node;
}
