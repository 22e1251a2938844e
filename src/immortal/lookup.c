#include "immortal/lookup.h"

#include "immortal/hash.h"
#include "immortal/image.h"

static const stoa_keys *
mapping_keys(const PyObject *mapping)
{
    return stoa__dict_keys(stoa__mapping_dict(mapping));
}

PyObject *
stoa__mapping_find(const PyObject *mapping, const PyObject *wanted)
{
    Py_hash_t hash;
    if (stoa__hash_fast(wanted, &hash) != STOA_OK) {
        return NULL;
    }
    stoa_keys_probe probe;
    stoa__keys_probe_begin(&probe, mapping_keys(mapping), hash);
    for (Py_ssize_t at; (at = stoa__keys_probe_next(&probe)) >= 0;) {
        PyObject *key, *value;
        stoa__keys_entry(probe.keys, at, &key, &value);
        if (stoa__shared_equal(key, wanted)) {
            return value;
        }
    }
    return NULL;
}

bool
stoa__frozenset_has(const PyObject *frozenset, const PyObject *member)
{
    const PySetObject *set = (const PySetObject *)frozenset;
    Py_hash_t hash;
    if (stoa__hash_fast(member, &hash) != STOA_OK) {
        return false;
    }
    stoa_set_probe probe;
    stoa__set_probe_begin(&probe, set->table, (size_t)set->mask, hash);
    for (const setentry *entry; (entry = stoa__set_probe_next(&probe))->key != NULL;) {
        if (stoa__shared_equal(entry->key, member)) {
            return true;
        }
    }
    return false;
}
