/* Laying nodes in the heap. */
#include "immortal/foreign.h"

#include "heap/handle.h"
#include "immortal/content.h"
#include "immortal/image_parts.h"

#include <stdlib.h>

PyTypeObject stoa__node_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0) /* */
        .tp_name = "stoa.node",
    .tp_basicsize = sizeof(stoa_node),
    .tp_itemsize = sizeof(PyObject *),
};

#define TAG_NODE UINT64_C(0x6E00)

typedef struct node_content {
    const stoa_content *parts;
    stoa_node_kind kind;
} node_content;

static bool
same_node(const void *candidate, const void *wanted)
{
    const node_content *c = wanted;
    return stoa__node_is(candidate, c->kind, c->parts);
}

static int
by_address(const void *a, const void *b)
{
    const stoa_shared *const *first = a, *const *second = b;
    return (*first > *second) - (*first < *second);
}

void
stoa__node_sort_members(stoa_shared **members, size_t count)
{
    qsort(members, count, sizeof(*members), by_address);
}

bool
stoa__node_is(const PyObject *object, stoa_node_kind kind, const stoa_content *parts)
{
    const stoa_node *node = (const stoa_node *)object;
    return stoa__is_node(object) && node->kind == kind && node->count == parts->count && node->raw == 0 &&
           stoa__has_content(node->parts, parts);
}

stoa_shared *
stoa__find_node(stoa_batch *batch, stoa_node_kind kind, const stoa_content *parts, stoa_key *key)
{
    node_content wanted = {parts, kind};
    *key = stoa__content_key(TAG_NODE + kind, parts);
    return stoa__find_image(batch, *key, same_node, &wanted);
}

static unsigned
inherited(stoa_shared *const *parts, size_t count)
{
    unsigned flags = 0;
    for (size_t i = 0; i < count; i++) {
        if (stoa__is_node(parts[i])) {
            flags |= ((const stoa_node *)parts[i])->flags & STOA_NODE_CHANGEABLE;
        }
    }
    return flags;
}

/* `key` NULL: no interning. */
static stoa_shared *
lay_node(stoa_batch *batch, const stoa_key *key, stoa_node_kind kind, unsigned flags,
         stoa_shared *const *parts, size_t count, uint32_t raw)
{
    if (count > STOA_LARGEST / sizeof(PyObject *)) {
        return stoa__no_room(batch, "node");
    }
    stoa_shared *object = stoa__batch_alloc(batch, sizeof(stoa_node) + count * sizeof(*parts));
    if (object == NULL) {
        return NULL;
    }
    stoa_node *image = stoa__rw(object);
    stoa__lay_head(image, &stoa__node_type);
    image->kind = (uint16_t)kind;
    image->flags = (uint16_t)(flags | inherited(parts, count - raw));
    image->raw = raw;
    image->count = count;
    memcpy(image->parts, parts, count * sizeof(*parts));
    if (key != NULL) {
        stoa__intern_add(batch, *key, object);
    }
    return object;
}

stoa_shared *
stoa__new_node(stoa_batch *batch, stoa_key key, stoa_node_kind kind, unsigned flags,
               stoa_shared *const *parts, size_t count)
{
    bool interning = stoa__interning(batch) && (flags & STOA_NODE_VALUE);
    return lay_node(batch, interning ? &key : NULL, kind, flags, parts, count, 0);
}

stoa_shared *
stoa__make_node(stoa_batch *batch, stoa_node_kind kind, unsigned flags, stoa_shared *const *parts,
                size_t count, uint32_t raw)
{
    bool interning = stoa__interning(batch) && (flags & STOA_NODE_VALUE) && raw == 0;
    stoa_key key = {0};
    if (interning) {
        stoa_content content = {parts, count, STOA_NUMBERS_LAID};
        stoa_shared *found = stoa__find_node(batch, kind, &content, &key);
        if (found != NULL) {
            return found;
        }
    }
    return lay_node(batch, interning ? &key : NULL, kind, flags, parts, count, raw);
}

/* ---- handles ------------------------------------------------------------------------------------------------------- */

uint64_t
stoa__handle_of_node(const stoa_node *node)
{
    return (uint64_t)(uintptr_t)node->parts[node->count - 1];
}

static bool
same_handle(const void *candidate, const void *wanted)
{
    const stoa_node *node = candidate;
    return stoa__is_node(candidate) && node->kind == STOA_NODE_HANDLE && node->raw == 1 &&
           stoa__handle_of_node(node) == *(const uint64_t *)wanted;
}

stoa_shared *
stoa__make_handle_node(stoa_batch *batch, uint64_t handle)
{
    stoa_key key = stoa__key(TAG_NODE + STOA_NODE_HANDLE, &handle, sizeof(handle));
    stoa_shared *found = stoa__interning(batch) ? stoa__find_image(batch, key, same_handle, &handle) : NULL;
    if (found != NULL) { /* it holds a reference already */
        stoa__handle_unref(handle);
        return found;
    }
    if (stoa__batch_hold(batch, handle) != STOA_OK) {
        return NULL;
    }
    stoa_shared *raw = (stoa_shared *)(uintptr_t)handle;
    stoa_shared *node = stoa__make_node(batch, STOA_NODE_HANDLE, 0, &raw, 1, 1);
    if (node != NULL && stoa__interning(batch)) {
        stoa__intern_add(batch, key, node);
    }
    return node;
}
