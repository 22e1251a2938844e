#include "heap/serials.h"

#include "heap/memory.h"

#include <stddef.h>

/* Levels 0-2 hold nodes, level 3 bits. */
typedef struct stoa_serials_node {
    union {
        _Atomic(struct stoa_serials_node *) below[256];
        _Atomic uint32_t bits[8];
    };
} node;

#define LEAF 3

static node *
node_at(_Atomic(node *) *place, bool make, bool leaf)
{
    /* acquire: pairs with the release of the exchange below */
    node *found = atomic_load_explicit(place, memory_order_acquire);
    if (found == NULL && make) {
        node *fresh = stoa__alloc(leaf ? 8 * sizeof(uint32_t) : sizeof *fresh);
        if (fresh != NULL && atomic_compare_exchange_strong_explicit(
                                 place, &found, fresh, memory_order_acq_rel, memory_order_acquire)) {
            return fresh;
        }
        stoa__free(fresh);
    }
    return found;
}

static node *
leaf_of(const stoa_serials *set, uint32_t serial, bool make)
{
    _Atomic(node *) *place = (_Atomic(node *) *)&set->root; /* changed only where the caller may: `make` */
    for (int shift = 24; shift >= 8; shift -= 8) {
        node *found = node_at(place, make, false);
        if (found == NULL) {
            return NULL;
        }
        place = &found->below[serial >> shift & 255];
    }
    return node_at(place, make, true);
}

bool
stoa__serials_add(stoa_serials *set, uint32_t serial)
{
    node *leaf = leaf_of(set, serial, true);
    if (leaf == NULL) {
        return false;
    }
    uint32_t bit = 1u << (serial & 31);
    _Atomic uint32_t *word = &leaf->bits[serial >> 5 & 7];
    if ((atomic_load(word) & bit) == 0) {
        atomic_fetch_or(word, bit);
    }
    return true;
}

bool
stoa__serials_has(const stoa_serials *set, uint32_t serial)
{
    node *leaf = leaf_of(set, serial, false);
    return leaf != NULL && (atomic_load(&leaf->bits[serial >> 5 & 7]) >> (serial & 31) & 1) != 0;
}

/* Calls visit for each node, those below it first; until it says no. `first`: the smallest serial of the node. */
static bool
each_node(const stoa_serials *set, bool (*visit)(node *at, int level, uint32_t first, void *arg), void *arg)
{
    node *nodes[LEAF + 1] = {atomic_load((_Atomic(node *) *)&set->root)};
    unsigned at[LEAF + 1] = {0};
    bool go_on = true;
    for (int level = 0; level >= 0 && go_on;) {
        if (nodes[level] != NULL && level < LEAF && at[level] < 256) {
            node *below = atomic_load(&nodes[level]->below[at[level]++]);
            if (below != NULL) {
                nodes[++level] = below;
                at[level] = 0;
            }
            continue;
        }
        uint32_t first = 0;
        for (int i = 0; i < level; i++) {
            first |= (uint32_t)(at[i] - 1) << (24 - 8 * i);
        }
        if (nodes[level] != NULL) {
            go_on = visit(nodes[level], level, first, arg);
        }
        level--;
    }
    return go_on;
}

typedef struct inclusion {
    const stoa_serials *whole;
    bool any;
} inclusion;

static bool
is_in(node *at, int level, uint32_t first, void *arg)
{
    inclusion *in = arg;
    if (level < LEAF) {
        return true;
    }
    const node *other = leaf_of(in->whole, first, false);
    for (int i = 0; i < 8; i++) {
        uint32_t bits = atomic_load(&at->bits[i]);
        if ((bits & ~(other != NULL ? atomic_load((_Atomic uint32_t *)&other->bits[i]) : 0)) != 0) {
            return false;
        }
        in->any |= bits != 0;
    }
    return true;
}

bool
stoa__serials_are_in(const stoa_serials *set, const stoa_serials *whole)
{
    inclusion in = {whole, false};
    return each_node(set, is_in, &in) && in.any;
}

static bool
free_node(node *at, int level, uint32_t first, void *arg)
{
    (void)level;
    (void)first;
    (void)arg;
    stoa__free(at);
    return true;
}

void
stoa__serials_free(stoa_serials *set)
{
    (void)each_node(set, free_node, NULL);
    atomic_store(&set->root, NULL);
}
