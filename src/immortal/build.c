/* The builder's life, and making single objects. */
#include "immortal/build.h"

#include "heap/error.h"
#include "heap/fork.h"
#include "heap/region.h"
#include "immortal/canonical.h"

#include <math.h>
#include <stdlib.h>

stoa_err
stoa_builder_new(stoa_region *region, unsigned flags, stoa_builder **out_builder)
{
    if (out_builder == NULL || (flags & ~STOA_BUILD_NO_INTERN) != 0) {
        return stoa__fail(STOA_EINVAL,
                          "stoa_builder_new: out_builder is NULL, or flags 0x%x has unknown bits", flags);
    }
    if (stoa__process == NULL || stoa__canonical_int(0) == NULL) {
        return stoa__fail(STOA_ESTATE,
                          "stoa_builder_new: no Python was prepared in this process, so the layout of its "
                          "objects is not known; call stoa_runtime_open first, or import stoa");
    }
    stoa_builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL) {
        return stoa__fail(STOA_ENOMEM, "stoa_builder_new: no memory for a builder");
    }
    builder->region = stoa__region_ref(region != NULL ? region : stoa__region_default());
    builder->batch_flags = flags & STOA_BUILD_NO_INTERN ? 0 : STOA_BATCH_INTERN;
    stoa_err err = stoa__builder_work(builder); /* tells now when the region is retired */
    if (err != STOA_OK) {
        stoa_builder_free(builder);
        return err;
    }
    *out_builder = builder;
    return STOA_OK;
}

stoa_err
stoa__builder_work(stoa_builder *builder)
{
    if (builder == NULL) {
        return stoa__fail(STOA_EINVAL, "the builder is NULL");
    }
    if (builder->working) {
        if (builder->fork_generation != stoa__fork_generation()) {
            return stoa__fail(STOA_EFORKED,
                              "this builder was begun before a fork, and what it has made so far belongs "
                              "to the parent; abort it and build anew");
        }
        builder->before = builder->batch.next;
        return STOA_OK;
    }
    stoa_err err = stoa__batch_begin(&builder->batch, builder->region, builder->batch_flags);
    if (err == STOA_OK) {
        builder->working = true;
        builder->before = builder->batch.next;
        builder->fork_generation = stoa__fork_generation();
    }
    return err;
}

stoa_err
stoa__builder_take(stoa_builder *builder, stoa_shared *made, const stoa_object **out_object)
{
    if (made == NULL) {
        return builder->batch.err != STOA_OK ? builder->batch.err : STOA_ENOMEM;
    }
    *out_object = (const stoa_object *)made;
    return STOA_OK;
}

stoa_shared *
stoa__builder_container(stoa_builder *builder, stoa_node_kind kind, stoa_shared *const *children, size_t count)
{
    return stoa__make_container(&builder->batch, kind, children, count, builder->foreign);
}

stoa_err
stoa__builder_check(stoa_builder *builder, const stoa_object *object, const char *what, size_t index)
{
    const char *wrong;
    if (object == NULL) {
        wrong = "is NULL";
    }
    else if (!stoa__in_heap(object)) {
        if (stoa__is_canonical((const PyObject *)object)) {
            return STOA_OK;
        }
        wrong = "is not shared: freeze it first";
    }
    else if (!stoa__region_reaches(builder->region, stoa__region_of(object))) {
        wrong =
            "lives in another region, which may end earlier than this one: build or freeze it in this region";
    }
    else if (!stoa__batch_sees(&builder->batch, object)) {
        wrong = "was made by a builder that has not finished yet";
    }
    else {
        builder->foreign = builder->foreign || stoa__is_node((const PyObject *)object);
        return STOA_OK;
    }
    return stoa__fail(STOA_EINVAL, "%s %zu %s", what, index, wrong);
}

stoa_err
stoa_builder_finish(stoa_builder *builder, const stoa_object **out_object)
{
    if (builder == NULL) {
        return stoa__fail(STOA_EINVAL, "stoa_builder_finish: the builder is NULL");
    }
    if (builder->depth != 0) {
        return stoa__fail(STOA_ESTATE,
                          "stoa_builder_finish: %zu containers are still open; call stoa_end for each",
                          builder->depth);
    }
    if (builder->top != (out_object != NULL ? 1 : 0) && !(out_object == NULL && builder->top == 1)) {
        return stoa__fail(
            STOA_ESTATE,
            "stoa_builder_finish: %zu values are on the stack, one is wanted; put them into a container",
            builder->top);
    }
    stoa_err err = stoa__builder_work(builder);
    if (err != STOA_OK) {
        return err;
    }
    stoa__batch_commit(&builder->batch);
    builder->working = false;
    if (builder->top > 0) { /* a host has its address, on a thread that nobody can tell of */
        stoa__region_mark_delivered(builder->values[0], 0);
    }
    if (out_object != NULL) {
        *out_object = (const stoa_object *)builder->values[0];
    }
    builder->top = 0;
    return STOA_OK;
}

void
stoa_builder_abort(stoa_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    if (builder->working) {
        stoa__batch_abort(&builder->batch);
        builder->working = false;
    }
    builder->top = 0;
    builder->depth = 0;
}

void
stoa_builder_free(stoa_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    stoa_builder_abort(builder);
    stoa__region_unref(builder->region);
    free(builder->values);
    free(builder->opens);
    free(builder);
}

size_t
stoa_builder_bytes(const stoa_builder *builder)
{
    return builder == NULL || !builder->working ? 0 : stoa__batch_bytes(&builder->batch);
}

/* ---- make -------------------------------------------------------------------------------------------------------- */

#define BEGIN_MAKE(builder, out)                                                \
    do {                                                                        \
        if ((out) == NULL) {                                                    \
            return stoa__fail(STOA_EINVAL, "%s: out_object is NULL", __func__); \
        }                                                                       \
        stoa_err begin_error = stoa__builder_work(builder);                     \
        if (begin_error != STOA_OK) {                                           \
            return begin_error;                                                 \
        }                                                                       \
    } while (0)

stoa_err
stoa_make_none(stoa_builder *builder, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    return stoa__builder_take(builder, Py_None, out_object);
}

stoa_err
stoa_make_bool(stoa_builder *builder, bool value, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    return stoa__builder_take(builder, value ? Py_True : Py_False, out_object);
}

stoa_err
stoa_make_int64(stoa_builder *builder, int64_t value, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    return stoa__builder_take(builder, stoa__make_int64(&builder->batch, value), out_object);
}

stoa_err
stoa_make_uint64(stoa_builder *builder, uint64_t value, const stoa_object **out_object)
{
    if (value <= INT64_MAX) {
        return stoa_make_int64(builder, (int64_t)value, out_object);
    }
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
    return stoa_make_int_bytes(builder, bytes, sizeof(bytes), false, out_object);
}

stoa_err
stoa_make_int_bytes(stoa_builder *builder, const void *bytes, size_t size, bool is_signed,
                    const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    if (bytes == NULL && size != 0) {
        return stoa__fail(STOA_EINVAL, "stoa_make_int_bytes: bytes is NULL, but size is %zu", size);
    }
    if (size == 0) {
        return stoa_make_int64(builder, 0, out_object);
    }
    return stoa__builder_take(builder, stoa__make_int_bytes(&builder->batch, bytes, size, is_signed),
                              out_object);
}

stoa_err
stoa_make_double(stoa_builder *builder, double value, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    unsigned flags = builder->batch.flags;
    if (isnan(value)) { /* each NaN is a key of its own: found by identity, equal to nothing */
        builder->batch.flags &= ~STOA_BATCH_INTERN;
    }
    stoa_shared *made = stoa__make_float(&builder->batch, value);
    builder->batch.flags = flags;
    return stoa__builder_take(builder, made, out_object);
}

stoa_err
stoa_make_text(stoa_builder *builder, const char *utf8, size_t size, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    if ((utf8 == NULL && size != 0) || size > PY_SSIZE_T_MAX) {
        return stoa__fail(STOA_EINVAL, "stoa_make_text: no text of %zu bytes at %p", size, (const void *)utf8);
    }
    return stoa__builder_take(builder, stoa__make_str_utf8(&builder->batch, utf8 != NULL ? utf8 : "", size),
                              out_object);
}

stoa_err
stoa_make_bytes(stoa_builder *builder, const void *bytes, size_t size, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    if ((bytes == NULL && size != 0) || size > PY_SSIZE_T_MAX) {
        return stoa__fail(STOA_EINVAL, "stoa_make_bytes: no %zu bytes at %p", size, bytes);
    }
    return stoa__builder_take(builder, stoa__make_bytes(&builder->batch, bytes != NULL ? bytes : "", size, -1),
                              out_object);
}

static stoa_err
check_all(stoa_builder *builder, const stoa_object *const *objects, size_t count, const char *what)
{
    if ((objects == NULL && count != 0) || count > PY_SSIZE_T_MAX / (2 * sizeof(void *))) {
        return stoa__fail(STOA_EINVAL, "no array of %zu objects at %p", count, (const void *)objects);
    }
    for (size_t i = 0; i < count; i++) {
        stoa_err err = stoa__builder_check(builder, objects[i], what, i);
        if (err != STOA_OK) {
            return err;
        }
    }
    return STOA_OK;
}

stoa_err
stoa_make_tuple(stoa_builder *builder, const stoa_object *const *items, size_t count,
                const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    stoa_err err = check_all(builder, items, count, "item");
    if (err != STOA_OK) {
        return err;
    }
    stoa_shared *const *children = (stoa_shared *const *)(const void *)items;
    return stoa__builder_take(builder, stoa__builder_container(builder, STOA_NODE_TUPLE, children, count),
                              out_object);
}

stoa_err
stoa_make_set(stoa_builder *builder, const stoa_object *const *members, size_t count,
              const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    stoa_err err = check_all(builder, members, count, "member");
    if (err != STOA_OK) {
        return err;
    }
    stoa_shared *const *children = (stoa_shared *const *)(const void *)members;
    return stoa__builder_take(builder, stoa__builder_container(builder, STOA_NODE_FROZENSET, children, count),
                              out_object);
}

stoa_err
stoa_make_mapping(stoa_builder *builder, const stoa_object *const *keys, const stoa_object *const *values,
                  size_t count, const stoa_object **out_object)
{
    BEGIN_MAKE(builder, out_object);
    stoa_err err = check_all(builder, keys, count, "key");
    if (err == STOA_OK) {
        err = check_all(builder, values, count, "value");
    }
    if (err == STOA_OK) {
        err = stoa__builder_reserve(builder, 2 * count);
    }
    if (err != STOA_OK) {
        return err;
    }
    stoa_shared **pairs = builder->values + builder->top; /* above the stack: free to use */
    for (size_t i = 0; i < count; i++) {
        pairs[2 * i] = (stoa_shared *)(uintptr_t)keys[i];
        pairs[2 * i + 1] = (stoa_shared *)(uintptr_t)values[i];
    }
    return stoa__builder_take(builder, stoa__builder_container(builder, STOA_NODE_MAPPING, pairs, 2 * count),
                              out_object);
}
