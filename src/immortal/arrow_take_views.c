/* In: items that lie anywhere in a buffer or a child: views, list views, unions, runs. What is kept of that is the
 * least stretch that holds all that are meant. */
#include "heap/process.h"
#include "immortal/arrow_taker.h"

#include <stdlib.h>
#include <string.h>

/* Bytes or items [low, high); high 0: none. */
typedef struct stretch {
    int64_t low, high;
} stretch;

static void
extend(stretch *s, int64_t low, int64_t high)
{
    s->low = s->high == 0 || low < s->low ? low : s->low;
    s->high = high > s->high ? high : s->high;
}

static bool
is_valid(const arrow_part *p, int64_t i)
{
    const uint8_t *valid = p->array->null_count == 0 ? NULL : p->array->buffers[0];
    return valid == NULL || (valid[(p->at + i) / 8] >> ((p->at + i) % 8) & 1);
}

static int64_t
number_at(const void *numbers, int64_t width, int64_t i)
{
    return width == 2   ? ((const int16_t *)numbers)[i]
           : width == 4 ? ((const int32_t *)numbers)[i]
                        : ((const int64_t *)numbers)[i];
}

static void
put_number(void *numbers, int64_t width, int64_t i, int64_t number)
{
    if (width == 2) {
        ((int16_t *)numbers)[i] = (int16_t)number;
    }
    else if (width == 4) {
        ((int32_t *)numbers)[i] = (int32_t)number;
    }
    else {
        ((int64_t *)numbers)[i] = number;
    }
}

/* ---- text and bytes ------------------------------------------------------------------------------------------------ */

/* One view; of an item that is null: of nothing. */
static stoa_arrow_view
view_at(const arrow_part *p, int64_t i)
{
    stoa_arrow_view view = {0};
    if (is_valid(p, i)) {
        memcpy(&view, (const stoa_arrow_view *)p->array->buffers[1] + p->at + i, sizeof(view));
    }
    return view;
}

/* What of each buffer of bytes is meant. */
static bool
measure_views(const arrow_part *p, stretch *used, int64_t count)
{
    const int64_t *sizes = p->array->buffers[2 + count];
    const void *const *data = (const void *const *)(p->array->buffers + 2);
    if ((p->count != 0 && p->array->buffers[1] == NULL) || (count != 0 && sizes == NULL)) {
        return stoa__arrow_damaged("it has no views, or does not say how long its buffers are");
    }
    for (int64_t i = 0; i < p->count; i++) {
        stoa_arrow_view view = view_at(p, i);
        if (view.size >= 0 && view.size <= (int32_t)sizeof(view.bytes)) {
            continue;
        }
        int64_t b = view.far.buffer, end = (int64_t)view.far.offset + view.size;
        if (view.size < 0 || b < 0 || b >= count || view.far.offset < 0 || data[b] == NULL || end > sizes[b]) {
            return stoa__arrow_damaged("a view is of what is in none of its buffers");
        }
        extend(&used[b], view.far.offset, end);
    }
    return true;
}

static bool
copy_views(arrow_taker *t, const arrow_part *p, const stretch *used)
{
    char *public = stoa__arrow_new_buffer(t, p, 1, p->count * (int64_t)sizeof(stoa_arrow_view));
    stoa_arrow_view *to = public == NULL ? NULL : stoa__rw(public);
    for (int64_t i = 0; to != NULL && i < p->count; i++) {
        stoa_arrow_view view = view_at(p, i);
        if (view.size > (int32_t)sizeof(view.bytes)) {
            view.far.offset -= (int32_t)used[view.far.buffer].low;
        }
        else {
            memset(view.bytes + view.size, 0, sizeof(view.bytes) - (size_t)view.size);
        }
        to[i] = view;
    }
    return to != NULL;
}

bool
stoa__arrow_take_views(arrow_taker *t, const arrow_part *p)
{
    int64_t count = p->array->n_buffers - 3; /* check_part() has looked */
    stretch *used = calloc((size_t)count + 1, sizeof(*used));
    if (used == NULL) {
        PyErr_NoMemory();
        return false;
    }
    bool good = measure_views(p, used, count) && copy_views(t, p, used);
    for (int64_t b = 0; good && b < count; b++) {
        const char *from = used[b].high == 0 ? "" : (const char *)p->array->buffers[2 + b] + used[b].low;
        good = stoa__arrow_copy_bytes(t, p, (Py_ssize_t)(2 + b), from, used[b].high - used[b].low);
    }
    free(used);
    return good;
}

/* ---- lists --------------------------------------------------------------------------------------------------------- */

/* Where a list lies; one that is null or empty: nowhere. false: ValueError is set. */
static bool
list_at(const arrow_part *p, int64_t i, stretch *out)
{
    *out = (stretch){0, 0};
    if (!is_valid(p, i)) {
        return true;
    }
    int64_t low = number_at(p->array->buffers[1], p->layout.width, p->at + i),
            size = number_at(p->array->buffers[2], p->layout.width, p->at + i);
    if (low < 0 || size < 0 || low > PTRDIFF_MAX / 64 || size > PTRDIFF_MAX / 64) {
        return stoa__arrow_damaged("a list view is of what is not in its child");
    }
    if (size != 0) {
        *out = (stretch){low, low + size};
    }
    return true;
}

PyObject *
stoa__arrow_take_list_views(arrow_taker *t, const arrow_part *p, int depth)
{
    stretch all = {0, 0}, one;
    int64_t width = p->layout.width;
    if (p->count != 0 && (p->array->buffers[1] == NULL || p->array->buffers[2] == NULL)) {
        stoa__arrow_damaged("it has no offsets, or no sizes");
        return NULL;
    }
    for (int64_t i = 0; i < p->count; i++) {
        if (!list_at(p, i, &one)) {
            return NULL;
        }
        if (one.high != 0) {
            extend(&all, one.low, one.high);
        }
    }
    char *offsets = stoa__arrow_new_buffer(t, p, 1, p->count * width);
    char *sizes = offsets == NULL ? NULL : stoa__arrow_new_buffer(t, p, 2, p->count * width);
    if (sizes == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < p->count && list_at(p, i, &one); i++) {
        put_number(stoa__rw(offsets), width, i, one.high == 0 ? 0 : one.low - all.low);
        put_number(stoa__rw(sizes), width, i, one.high - one.low);
    }
    PyObject *child = stoa__arrow_take_child(t, p, 0, all.low, all.high - all.low, depth);
    return child == NULL ? NULL : Py_BuildValue("(N)", child);
}

/* ---- unions -------------------------------------------------------------------------------------------------------- */

bool
stoa__arrow_copy_codes(arrow_taker *t, const arrow_part *p)
{
    int8_t children[128];
    const int8_t *codes = p->array->buffers[0];
    (void)stoa__arrow_type_codes(p->schema->format, children);
    if (p->count != 0 && codes == NULL) {
        return stoa__arrow_damaged("it does not say of what type its items are");
    }
    for (int64_t i = p->at; i < p->at + p->count; i++) {
        if (codes[i] < 0 || children[codes[i]] < 0) {
            return stoa__arrow_damaged("an item is of a type that it does not have");
        }
    }
    return stoa__arrow_copy_bytes(t, p, 0, p->count == 0 ? "" : (const char *)codes + p->at, p->count);
}

PyObject *
stoa__arrow_take_dense(arrow_taker *t, const arrow_part *p, int depth)
{
    int8_t children[128];
    const int8_t *codes = p->array->buffers[0];
    const int32_t *offsets = p->array->buffers[1];
    stretch used[128] = {{0, 0}};
    (void)stoa__arrow_type_codes(p->schema->format, children);
    if (!stoa__arrow_copy_codes(t, p)) {
        return NULL;
    }
    if (p->count != 0 && offsets == NULL) {
        stoa__arrow_damaged("it has no offsets");
        return NULL;
    }
    for (int64_t i = p->at; i < p->at + p->count; i++) {
        if (offsets[i] < 0) {
            stoa__arrow_damaged("its offsets lead nowhere");
            return NULL;
        }
        extend(&used[children[codes[i]]], offsets[i], (int64_t)offsets[i] + 1);
    }
    char *public = stoa__arrow_new_buffer(t, p, 1, p->count * (int64_t)sizeof(*offsets));
    int32_t *to = public == NULL ? NULL : stoa__rw(public);
    for (int64_t i = 0; to != NULL && i < p->count; i++) {
        to[i] = offsets[p->at + i] - (int32_t)used[children[codes[p->at + i]]].low;
    }
    PyObject *taken = to == NULL ? NULL : PyTuple_New((Py_ssize_t)p->array->n_children);
    for (Py_ssize_t i = 0; taken != NULL && i < PyTuple_GET_SIZE(taken); i++) {
        PyObject *child = stoa__arrow_take_child(t, p, i, used[i].low, used[i].high - used[i].low, depth);
        if (child == NULL) {
            Py_CLEAR(taken);
            break;
        }
        PyTuple_SET_ITEM(taken, i, child);
    }
    return taken;
}

/* ---- runs ---------------------------------------------------------------------------------------------------------- */

/* Which runs reach into what is meant. false: ValueError is set. */
static bool
find_runs(const arrow_part *p, const arrow_array *ends, int64_t width, stretch *out)
{
    const void *numbers = ends->n_buffers == 2 ? ends->buffers[1] : NULL;
    if (width == 0 || ends->n_buffers != 2 || ends->n_children != 0 || ends->null_count > 0 ||
        (ends->length != 0 && numbers == NULL)) {
        return stoa__arrow_damaged("the ends of its runs are no whole numbers");
    }
    int64_t low = 0, high = ends->length; /* the first that ends behind p->at */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (number_at(numbers, width, ends->offset + middle) > p->at) {
            high = middle;
        }
        else {
            low = middle + 1;
        }
    }
    *out = (stretch){low, low};
    for (int64_t before = p->at; before < p->at + p->count; out->high++) {
        int64_t end = out->high < ends->length ? number_at(numbers, width, ends->offset + out->high) : 0;
        if (end <= before) {
            return stoa__arrow_damaged("its runs end before it does, or go back");
        }
        before = end;
    }
    return true;
}

/* The ends of these runs, counted from the first item that is meant. */
static PyObject *
take_ends(arrow_taker *t, const arrow_part *p, int64_t width, stretch runs)
{
    const arrow_schema *schema = p->schema->children[0];
    const arrow_array *ends = p->array->children[0];
    PyObject *buffers = Py_BuildValue("(OO)", Py_None, Py_None);
    arrow_part part = {.schema = schema, .array = ends, .count = runs.high - runs.low, .buffers = buffers};
    char *public = buffers == NULL ? NULL : stoa__arrow_new_buffer(t, &part, 1, part.count * width);
    PyObject *tree = NULL;
    if (public != NULL) {
        for (int64_t i = 0; i < part.count; i++) {
            int64_t end = number_at(ends->buffers[1], width, ends->offset + runs.low + i) - p->at;
            put_number(stoa__rw(public), width, i, end < p->count ? end : p->count);
        }
        tree = Py_BuildValue("szLOLLO()O", schema->format, schema->name, (long long)schema->flags, Py_None,
                             (long long)part.count, 0LL, buffers, Py_None);
    }
    Py_XDECREF(buffers);
    return tree;
}

PyObject *
stoa__arrow_take_runs(arrow_taker *t, const arrow_part *p, int depth)
{
    const arrow_array *ends = p->array->children[0];
    stretch runs = {0, 0};
    if (!stoa__arrow_is_sound(p->schema->children[0], ends)) {
        return NULL;
    }
    int64_t width = stoa__arrow_end_width(p->schema->children[0]->format);
    if (!find_runs(p, ends, width, &runs)) {
        return NULL;
    }
    PyObject *of_ends = take_ends(t, p, width, runs);
    PyObject *values = of_ends == NULL
                           ? NULL
                           : stoa__arrow_take_child(t, p, 1, runs.low, runs.high - runs.low, depth);
    PyObject *children = values == NULL ? NULL : PyTuple_Pack(2, of_ends, values);
    Py_XDECREF(of_ends);
    Py_XDECREF(values);
    return children;
}
