#include "immortal/container.h"

#include <stdlib.h>
#include <string.h>

#include "immortal/equal.h"
#include "immortal/foreign_walk.h"
#include "immortal/hash.h"
#include "immortal/image_parts.h"
#include "immortal/persist.h"

static stoa_shared *
make_native(stoa_batch *batch, stoa_node_kind kind, stoa_shared *const *children, size_t count)
{
    switch (kind) {
    case STOA_NODE_TUPLE:
        return stoa__make_tuple(batch, children, (Py_ssize_t)count);
    case STOA_NODE_FROZENSET:
        return stoa__make_frozenset(batch, children, (Py_ssize_t)count);
    default:
        return stoa__make_mapping(batch, children, (Py_ssize_t)count / 2);
    }
}

/* ---- equal keys ---------------------------------------------------------------------------------------------------- */

typedef struct keyed {
    Py_hash_t hash;
    size_t at; /* of the key among the children */
} keyed;

static int
by_hash(const void *a, const void *b)
{
    const keyed *first = a, *second = b;
    return first->hash != second->hash ? (first->hash > second->hash) - (first->hash < second->hash)
                                       : (first->at > second->at) - (first->at < second->at);
}

/* NULL: batch->err and the message are set. */
static keyed *
hash_keys(stoa_batch *batch, stoa_shared *const *children, size_t count, size_t step)
{
    keyed *keys = malloc((count / step) * sizeof(*keys));
    if (keys == NULL) {
        return (void *)stoa__image_fail(batch, STOA_ENOMEM, "no memory to compare the keys of a container");
    }
    for (size_t i = 0; i < count / step; i++) {
        PyObject *key = children[i * step];
        keys[i] = (keyed){(Py_hash_t)(uintptr_t)key, i * step};
        stoa_err err = stoa__is_node(key) ? STOA_OK : stoa__hash_fast(key, &keys[i].hash);
        if (err != STOA_OK) {
            free(keys);
            return (void *)stoa__image_fail(
                batch, err,
                err == STOA_ETYPE ? "key number %zu of a container, a '%.200s', is not hashable"
                                  : "no memory to hash key number %zu of a container, a '%.200s'",
                i, key->ob_type->tp_name);
        }
    }
    qsort(keys, count / step, sizeof(*keys), by_hash);
    return keys;
}

static bool
is_same(stoa_shared *a, stoa_shared *b)
{
    bool equal = a == b;
    return equal || (!stoa__is_node(a) && !stoa__is_node(b) && stoa__equal(a, b, &equal) == STOA_OK && equal);
}

/* Drops keys that are there before, whose values go there. `children` are changed; how many there are then. */
static size_t
drop_equal(stoa_shared **children, size_t count, size_t step, const keyed *keys)
{
    for (size_t i = 0; i < count / step; i++) {
        stoa_shared *key = children[keys[i].at];
        for (size_t k = i; k-- > 0 && keys[k].hash == keys[i].hash;) {
            if (children[keys[k].at] != NULL && is_same(children[keys[k].at], key)) {
                if (step == 2) {
                    children[keys[k].at + 1] = children[keys[i].at + 1];
                }
                children[keys[i].at] = NULL;
                break;
            }
        }
    }
    size_t top = 0;
    for (size_t i = 0; i < count; i += step) {
        if (children[i] != NULL) {
            memmove(children + top, children + i, step * sizeof(*children));
            top += step;
        }
    }
    return top;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

/* Of children of which no two are known to be equal. */
static stoa_shared *
make_keyed(stoa_batch *batch, stoa_node_kind kind, stoa_shared **children, size_t count)
{
    if (kind == STOA_NODE_FROZENSET) {
        stoa__node_sort_members(children, count);
    }
    else if (stoa__persist_suits(children, count / 2)) {
        stoa_shared *base = stoa__make_mapping(batch, children, (Py_ssize_t)count / 2);
        return base == NULL ? NULL : stoa__persist_first(batch, base, children, count / 2);
    }
    return stoa__make_node(batch, kind, STOA_NODE_VALUE, children, count, 0);
}

stoa_shared *
stoa__make_container(stoa_batch *batch, stoa_node_kind kind, stoa_shared *const *children, size_t count,
                     bool foreign)
{
    if (!foreign || !stoa__foreign_inside(children, count)) {
        return make_native(batch, kind, children, count);
    }
    if (kind == STOA_NODE_TUPLE) {
        return stoa__make_node(batch, kind, STOA_NODE_VALUE, children, count, 0);
    }
    size_t step = kind == STOA_NODE_MAPPING ? 2 : 1;
    keyed *keys = hash_keys(batch, children, count, step);
    stoa_shared **own = keys == NULL ? NULL : malloc(count * sizeof(*own)), *made = NULL;
    if (own != NULL) {
        memcpy(own, children, count * sizeof(*own));
        made = make_keyed(batch, kind, own, drop_equal(own, count, step, keys));
    }
    else if (keys != NULL) {
        made = stoa__image_fail(batch, STOA_ENOMEM, "no memory for the keys of a container");
    }
    free(own);
    free(keys);
    return made;
}
