/* The builder's push stack: containers as a parser meets them. */
#include "immortal/build.h"

#include "heap/error.h"

#include <stdlib.h>

stoa_err
stoa__builder_reserve(stoa_builder *builder, size_t more)
{
    size_t count = builder->top + more;
    if (count <= builder->value_capacity) {
        return STOA_OK;
    }
    size_t wanted = builder->value_capacity * 2 > count ? builder->value_capacity * 2 : count + 64;
    stoa_shared **values = wanted > PTRDIFF_MAX / sizeof(*values)
                               ? NULL
                               : realloc(builder->values, wanted * sizeof(*values));
    if (values == NULL) {
        return stoa__fail(STOA_ENOMEM, "no memory for %zu values on the builder's stack", count);
    }
    builder->values = values;
    builder->value_capacity = wanted;
    return STOA_OK;
}

static stoa_err
push(stoa_builder *builder, stoa_err err, const stoa_object *const *made)
{
    const stoa_object *object = *made;
    if (err != STOA_OK) {
        return err;
    }
    if (builder->top == builder->value_capacity) {
        err = stoa__builder_reserve(builder, 1);
        if (err != STOA_OK) {
            return err;
        }
    }
    builder->values[builder->top++] = (stoa_shared *)(uintptr_t)object;
    if (builder->depth != 0 && (const char *)object >= builder->before &&
        (const char *)object < builder->batch.next) {
        builder->opens[builder->depth - 1].fresh = true;
    }
    return STOA_OK;
}

stoa_err
stoa_push_none(stoa_builder *builder)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_none(builder, &made), &made);
}

stoa_err
stoa_push_bool(stoa_builder *builder, bool value)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_bool(builder, value, &made), &made);
}

stoa_err
stoa_push_int64(stoa_builder *builder, int64_t value)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_int64(builder, value, &made), &made);
}

stoa_err
stoa_push_uint64(stoa_builder *builder, uint64_t value)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_uint64(builder, value, &made), &made);
}

stoa_err
stoa_push_int_bytes(stoa_builder *builder, const void *bytes, size_t size, bool is_signed)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_int_bytes(builder, bytes, size, is_signed, &made), &made);
}

stoa_err
stoa_push_double(stoa_builder *builder, double value)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_double(builder, value, &made), &made);
}

stoa_err
stoa_push_text(stoa_builder *builder, const char *utf8, size_t size)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_text(builder, utf8, size, &made), &made);
}

stoa_err
stoa_push_bytes(stoa_builder *builder, const void *bytes, size_t size)
{
    const stoa_object *made = NULL;
    return push(builder, stoa_make_bytes(builder, bytes, size, &made), &made);
}

stoa_err
stoa_push_object(stoa_builder *builder, const stoa_object *object)
{
    stoa_err err = stoa__builder_work(builder);
    if (err == STOA_OK) {
        err = stoa__builder_check(builder, object, "pushed object", 0);
    }
    return push(builder, err, &object);
}

static stoa_err
begin(stoa_builder *builder, stoa_node_kind kind)
{
    stoa_err err = stoa__builder_work(builder);
    if (err != STOA_OK) {
        return err;
    }
    if (builder->depth == builder->open_capacity) {
        size_t wanted = builder->open_capacity * 2 + 16;
        stoa_open *opens = wanted > PTRDIFF_MAX / sizeof(*opens)
                               ? NULL
                               : realloc(builder->opens, wanted * sizeof(*opens));
        if (opens == NULL) {
            return stoa__fail(STOA_ENOMEM, "no memory for containers nested %zu deep", builder->depth);
        }
        builder->opens = opens;
        builder->open_capacity = wanted;
    }
    builder->opens[builder->depth++] = (stoa_open){builder->top, kind, false};
    return STOA_OK;
}

stoa_err
stoa_begin_tuple(stoa_builder *builder)
{
    return begin(builder, STOA_NODE_TUPLE);
}

stoa_err
stoa_begin_mapping(stoa_builder *builder)
{
    return begin(builder, STOA_NODE_MAPPING);
}

stoa_err
stoa_begin_set(stoa_builder *builder)
{
    return begin(builder, STOA_NODE_FROZENSET);
}

static stoa_shared *
make_container(stoa_builder *builder, const stoa_open *open, size_t count)
{
    stoa_batch *batch = &builder->batch;
    stoa_shared *const *children = builder->values + open->base;
    unsigned flags = batch->flags;
    batch->flags |= open->fresh ? STOA_BATCH_FRESH : 0;
    stoa_shared *made = stoa__builder_container(builder, open->kind, children, count);
    batch->flags = flags;
    return made;
}

stoa_err
stoa_end(stoa_builder *builder)
{
    stoa_err err = stoa__builder_work(builder);
    if (err != STOA_OK) {
        return err;
    }
    if (builder->depth == 0) {
        return stoa__fail(STOA_ESTATE, "stoa_end: no container is open");
    }
    stoa_open open = builder->opens[builder->depth - 1];
    size_t count = builder->top - open.base;
    if (open.kind == STOA_NODE_MAPPING && count % 2 != 0) {
        return stoa__fail(STOA_ESTATE,
                          "stoa_end: the mapping has a key without a value; push the value first");
    }
    err = stoa__builder_reserve(builder, 1); /* for an empty container on a full stack */
    if (err != STOA_OK) {
        return err;
    }
    stoa_shared *made = make_container(builder, &open, count);
    const stoa_object *object = NULL;
    err = stoa__builder_take(builder, made, &object);
    if (err != STOA_OK) {
        return err;
    }
    builder->depth--;
    builder->top = open.base;
    return push(builder, STOA_OK, &object);
}

void
stoa_builder_depth(const stoa_builder *builder, size_t *out_open, size_t *out_values)
{
    size_t base = builder == NULL || builder->depth == 0 ? 0 : builder->opens[builder->depth - 1].base;
    if (out_open != NULL) {
        *out_open = builder == NULL ? 0 : builder->depth;
    }
    if (out_values != NULL) {
        *out_values = builder == NULL ? 0 : builder->top - base;
    }
}
