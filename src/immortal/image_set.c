/* Images of frozensets, each with the weak reference that `weakref.ref(it)` will find (hazards: 1a).
 *
 * One block. Up to four members the table is the one inside the object and the weak reference follows:
 *     [gc head][frozenset: … smalltable, weakreflist][gc head][weakref]
 * With more the table follows, and the weak reference takes the room of the small table that nobody uses then:
 *     [gc head][frozenset: … (gc head, weakref), weakreflist][table]
 */
#include "immortal/image.h"

#include <stdlib.h>

#include "immortal/equal.h"
#include "immortal/image_parts.h"
#include "immortal/lookup.h"

_Static_assert(STOA_GC_HEAD + sizeof(PyWeakReference) <= sizeof(((PySetObject *)0)->smalltable),
               "the weak reference fits into the small table");

typedef struct members {
    setentry *table; /* laid out as CPython does */
    size_t mask, count;
} members;

/* The same members by address; the order in the table may be another. */
static bool
same_set(const void *candidate, const void *wanted)
{
    const PySetObject *set = candidate;
    const members *m = wanted;
    if (set->ob_base.ob_type != &PyFrozenSet_Type || (size_t)set->used != m->count) {
        return false;
    }
    for (size_t i = 0; i <= m->mask; i++) {
        if (m->table[i].key == NULL) {
            continue;
        }
        stoa_set_probe probe;
        const setentry *entry;
        stoa__set_probe_begin(&probe, set->table, (size_t)set->mask, m->table[i].hash);
        while ((entry = stoa__set_probe_next(&probe))->key != m->table[i].key) {
            if (entry->key == NULL) {
                return false;
            }
        }
    }
    return true;
}

/* The order of members must not matter: the sum of the members' keys. */
static stoa_key
set_key(const members *m)
{
    stoa_key key = {m->count};
    for (size_t i = 0; i <= m->mask; i++) {
        if (m->table[i].key != NULL) {
            key.tag += stoa__key(STOA_TAG_FROZENSET, &m->table[i].key, sizeof(PyObject *)).tag;
        }
    }
    return key;
}

/* Smallest table that CPython would not want to grow (fill at most three fifths). */
static size_t
mask_for(size_t count)
{
    size_t mask = PySet_MINSIZE - 1;
    while (count * 5 >= mask * 3) {
        mask = mask * 2 + 1;
    }
    return mask;
}

static stoa_err
insert(members *m, PyObject *key, Py_hash_t hash, bool may_be_there)
{
    stoa_set_probe probe;
    const setentry *entry;
    stoa__set_probe_begin(&probe, m->table, m->mask, hash);
    while ((entry = stoa__set_probe_next(&probe))->key != NULL) {
        bool equal = false;
        stoa_err err = may_be_there ? stoa__equal(entry->key, key, &equal) : STOA_OK;
        if (equal || err != STOA_OK) {
            return err;
        }
    }
    setentry *free_entry = &m->table[entry - m->table];
    free_entry->key = key;
    free_entry->hash = hash;
    m->count++;
    return STOA_OK;
}

static stoa_err
gather(members *m, stoa_shared *const *items, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_hash_t hash;
        stoa_err err = stoa__hash_fast(items[i], &hash);
        if (err == STOA_ETYPE) {
            return stoa__fail(err, "member number %zd of a frozenset, a '%.200s', is not hashable", i,
                              items[i]->ob_type->tp_name);
        }
        err = err == STOA_OK ? insert(m, items[i], hash, true) : err;
        if (err != STOA_OK) {
            return stoa__fail(err, "no memory to compare the members of a frozenset");
        }
    }
    return STOA_OK;
}

static Py_hash_t
set_hash(const members *m)
{
    uint64_t acc = 0;
    for (size_t i = 0; i <= m->mask; i++) {
        if (m->table[i].key != NULL) {
            acc ^= stoa__hash_shuffle((uint64_t)m->table[i].hash);
        }
    }
    return stoa__hash_set_end(acc, m->count);
}

static void
lay_ref(char *image, stoa_shared *set, Py_hash_t hash)
{
    PyWeakReference *ref = (PyWeakReference *)(void *)image;
    stoa__lay_head(ref, &_PyWeakref_RefType);
    ref->wr_object = set;
    ref->hash = hash;
    ref->vectorcall = stoa__runtime.ref_vectorcall;
}

static stoa_shared *
lay_set(stoa_batch *batch, const members *m)
{
    bool small = m->mask == PySet_MINSIZE - 1;
    size_t table = (m->mask + 1) * sizeof(setentry), head = STOA_GC_HEAD + sizeof(PySetObject);
    char *block = stoa__batch_alloc(batch, head + (small ? STOA_GC_HEAD + sizeof(PyWeakReference) : table));
    if (block == NULL) {
        return NULL;
    }
    stoa_shared *object = (stoa_shared *)(void *)(block + STOA_GC_HEAD);
    PySetObject *image = stoa__rw(object);
    size_t table_at = small ? STOA_GC_HEAD + offsetof(PySetObject, smalltable) : head;
    size_t ref_at = STOA_GC_HEAD + (small ? head : STOA_GC_HEAD + offsetof(PySetObject, smalltable));
    Py_hash_t hash = set_hash(m);
    stoa__lay_head(image, &PyFrozenSet_Type);
    image->fill = image->used = (Py_ssize_t)m->count;
    image->mask = (Py_ssize_t)m->mask;
    image->table = (setentry *)(void *)(block + table_at);
    image->hash = hash;
    memcpy((char *)stoa__rw(block) + table_at, m->table, table);
    image->weakreflist = (PyObject *)(void *)(block + ref_at);
    lay_ref((char *)stoa__rw(block) + ref_at, object, hash);
    return object;
}

/* Doubles made the table larger than need be: lay it out again. */
static void
shrink(members *m, setentry *room)
{
    members smaller = {room, mask_for(m->count), 0};
    memset(room, 0, (smaller.mask + 1) * sizeof *room);
    for (size_t i = 0; i <= m->mask; i++) {
        if (m->table[i].key != NULL) {
            insert(&smaller, m->table[i].key, m->table[i].hash, false);
        }
    }
    *m = smaller;
}

stoa_shared *
stoa__make_frozenset(stoa_batch *batch, stoa_shared *const *items, Py_ssize_t count)
{
    if (count < 0 || (size_t)count > STOA_LARGEST / (8 * sizeof(setentry))) {
        return stoa__no_room(batch, "frozenset");
    }
    setentry few[64];
    members m = {few, mask_for((size_t)count), 0};
    size_t slots = m.mask + 1;
    setentry *room = few;
    if (2 * slots > sizeof few / sizeof few[0]) {
        room = calloc(2 * slots, sizeof *room); /* the table, and room to lay it out again */
        if (room == NULL) {
            return stoa__image_fail(batch, STOA_ENOMEM, "no memory to lay out a frozenset of %zd members",
                                    count);
        }
    }
    else {
        memset(few, 0, 2 * slots * sizeof *few);
    }
    m.table = room;
    stoa_shared *object = NULL;
    batch->err = gather(&m, items, count);
    if (batch->err == STOA_OK) {
        if (mask_for(m.count) < m.mask) {
            shrink(&m, room + slots);
        }
        stoa_key key = {0};
        if (stoa__interning(batch)) {
            key = set_key(&m);
            object = stoa__find_image(batch, key, same_set, &m);
        }
        if (object == NULL) {
            object = lay_set(batch, &m);
            if (object != NULL && stoa__interning(batch)) {
                stoa__intern_add(batch, key, object);
            }
        }
    }
    if (room != few) {
        free(room);
    }
    return object;
}
