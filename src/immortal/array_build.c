/* Arrays from C and for C: stoa/array.h. */
#include "heap/error.h"
#include "heap/fill.h"
#include "heap/fork.h"
#include "heap/region.h"
#include "heap/utf8.h"
#include "immortal/array.h"
#include "immortal/read.h"

#include <stdlib.h>
#include <string.h>

struct stoa_array_maker {
    stoa_batch batch; /* open from begin to seal or discard */
    stoa_array *node;
    uint64_t generation; /* of the process at begin */
};

#define SPEC_FIRST_SIZE sizeof(stoa_array_spec) /* of the first version */

static stoa_err
read_spec(const stoa_array_spec *spec, stoa_layout *layout, int64_t *shape)
{
    if (spec == NULL || spec->size < SPEC_FIRST_SIZE || (spec->ndim != 0 && spec->shape == NULL)) {
        return stoa__fail(STOA_EINVAL,
                          "stoa_array_begin: spec is NULL, has no shape, or its size is not set");
    }
    if (spec->ndim > STOA_ARRAY_MAX_NDIM) {
        return stoa__fail(STOA_EINVAL, "an array of %zu dimensions: at most %d are possible", spec->ndim,
                          STOA_ARRAY_MAX_NDIM);
    }
    const char *format = spec->format != NULL ? spec->format : "B";
    size_t known = stoa__format_itemsize(format), at;
    if (!stoa__utf8_valid(format, strlen(format), &at)) {
        return stoa__fail(STOA_EINVAL, "the format of the array is no UTF-8 from byte %zu on", at);
    }
    if (stoa__format_holds_pointers(format)) {
        return stoa__fail(STOA_EINVAL, "format \"%.64s\" holds pointers, which mean nothing to others", format);
    }
    if (known == 0 ? spec->itemsize == 0 : spec->itemsize != 0 && spec->itemsize != known) {
        return stoa__fail(STOA_EINVAL,
                          known == 0
                              ? "how large an item of format \"%.64s\" is cannot be told here: set itemsize"
                              : "itemsize is not that of format \"%.64s\"; leave it 0",
                          format);
    }
    for (size_t i = 0; i < spec->ndim; i++) {
        if (spec->shape[i] > PTRDIFF_MAX) {
            return stoa__fail(STOA_EINVAL, "dimension %zu of the array is %zu", i, spec->shape[i]);
        }
        shape[i] = (int64_t)spec->shape[i];
    }
    *layout = (stoa_layout){
        .format = format, .itemsize = known != 0 ? known : spec->itemsize, .ndim = spec->ndim, .shape = shape};
    return STOA_OK;
}

stoa_err
stoa_array_begin(stoa_region *region, const stoa_array_spec *spec, stoa_array_maker **out_maker, void **out_data)
{
    stoa_layout layout;
    int64_t shape[STOA_ARRAY_MAX_NDIM];
    if (out_maker == NULL) {
        return stoa__fail(STOA_EINVAL, "stoa_array_begin: out_maker is NULL");
    }
    if (stoa__process == NULL) {
        return stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
    }
    stoa_err err = read_spec(spec, &layout, shape);
    if (err != STOA_OK) {
        return err;
    }
    stoa_array_maker *maker = calloc(1, sizeof(*maker));
    if (maker == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for the maker of an array");
    }
    err = stoa__batch_begin(&maker->batch, region, 0);
    if (err != STOA_OK) {
        free(maker);
        return err;
    }
    char *data;
    maker->node = stoa__array_make(&maker->batch, &layout, out_data == NULL, &data);
    if (maker->node == NULL) {
        err = maker->batch.err;
        stoa__batch_abort(&maker->batch);
        free(maker);
        return err;
    }
    maker->generation = stoa__fork_generation();
    *out_maker = maker;
    if (out_data != NULL) {
        *out_data = stoa__rw(data);
    }
    return STOA_OK;
}

stoa_err
stoa_array_write(stoa_array_maker *maker, size_t at, const void *source, size_t size)
{
    if (maker == NULL || (source == NULL && size != 0)) {
        return stoa__fail(STOA_EINVAL, "stoa_array_write: an argument is NULL");
    }
    if (at > maker->node->extent || size > maker->node->extent - at) {
        return stoa__fail(STOA_EINVAL, "stoa_array_write: bytes %zu to %zu of an array of %zu bytes", at,
                          at + size, maker->node->extent);
    }
    if (maker->generation != stoa__fork_generation()) {
        return stoa__fail(STOA_EFORKED,
                          "this array was begun before a fork, and belongs to the parent; make it anew");
    }
    if (size != 0) {
        stoa__fill((char *)(uintptr_t)maker->node->data + at, source, size);
    }
    return STOA_OK;
}

stoa_err
stoa_array_seal(stoa_array_maker *maker, const stoa_object **out_array)
{
    if (maker == NULL || out_array == NULL) {
        return stoa__fail(STOA_EINVAL, "stoa_array_seal: an argument is NULL");
    }
    stoa__batch_commit(&maker->batch);
    stoa_err err = maker->batch.err;
    if (err == STOA_OK) {
        *out_array = (const stoa_object *)stoa__array_node(maker->node);
        stoa__region_mark_delivered(*out_array, 0); /* a host has it, on a thread that nobody can tell of */
    }
    else {
        err = stoa__fail(err, "this array was begun before a fork, and belongs to the parent; make it anew");
    }
    free(maker);
    return err;
}

void
stoa_array_discard(stoa_array_maker *maker)
{
    if (maker != NULL) {
        stoa__batch_abort(&maker->batch);
        free(maker);
    }
}

stoa_err
stoa_get_array(const stoa_object *object, stoa_array_info *info)
{
    if (info == NULL || info->size < sizeof(stoa_array_info)) {
        return stoa__fail(STOA_EINVAL, "stoa_get_array: info is NULL, or its size is not set");
    }
    if (object == NULL || !stoa__is_array((const PyObject *)object)) {
        return stoa__wrong_kind("stoa_get_array", object, "an array");
    }
    const stoa_array *a = stoa__array_of_node((const PyObject *)object);
    *info = (stoa_array_info){.size = info->size,
                              .data = a->data,
                              .format = a->format,
                              .itemsize = a->itemsize,
                              .ndim = a->ndim,
                              .shape = a->shape,
                              .strides = a->strides,
                              .count = a->count,
                              .contiguous = a->contiguous};
    return STOA_OK;
}
