/* Python's hashes without a GIL: the same numbers that hash() gives, for every type that can be in the heap.
 *
 * A shared object's hash field must be filled in before the object is sealed, dict and set tables are laid out by hash, and
 * the builder runs on threads that have no interpreter. So the hashes of CPython are computed here from the object's bytes;
 * cpython/probe.c compares them with hash() at import. Nothing recurses on the C stack.
 */
#ifndef STOA_IMMORTAL_HASH_H
#define STOA_IMMORTAL_HASH_H

#include "immortal/cpython/cpython.h"
#include "stoa/error.h"

#define STOA_HASH_MODULUS ((UINT64_C(1) << 61) - 1)

static inline uint64_t
stoa__rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

#define STOA_SIP_ROUND(a, b, c, d)                                                                         \
    do {                                                                                                   \
        a += b, c += d, b = stoa__rotate(b, 13) ^ a, d = stoa__rotate(d, 16) ^ c, a = stoa__rotate(a, 32); \
        c += b, a += d, b = stoa__rotate(b, 17) ^ c, d = stoa__rotate(d, 21) ^ a, c = stoa__rotate(c, 32); \
    } while (0)

/* SipHash-1-3 under the process's secret: what default builds of CPython hash str and bytes with. */
static inline uint64_t
stoa__siphash13(const void *bytes, size_t size)
{
    const unsigned char *in = bytes;
    uint64_t k0 = stoa__runtime.secret[0], k1 = stoa__runtime.secret[1], word;
    uint64_t a = k0 ^ UINT64_C(0x736f6d6570736575), b = k1 ^ UINT64_C(0x646f72616e646f6d);
    uint64_t c = k0 ^ UINT64_C(0x6c7967656e657261), d = k1 ^ UINT64_C(0x7465646279746573);
    size_t left = size;
    for (; left >= 8; left -= 8, in += 8) {
        memcpy(&word, in, 8);
        d ^= word;
        STOA_SIP_ROUND(a, b, c, d);
        a ^= word;
    }
    word = (uint64_t)size << 56;
    if (size >= 8) { /* the tail, from one load that ends where the text ends */
        uint64_t last;
        memcpy(&last, in + left - 8, 8);
        word |= left ? last >> (64 - 8 * left) : 0;
    }
    else {
        for (size_t i = 0; i < left; i++) {
            word |= (uint64_t)in[i] << (8 * i);
        }
    }
    d ^= word;
    STOA_SIP_ROUND(a, b, c, d);
    a ^= word;
    c ^= 0xff;
    STOA_SIP_ROUND(a, b, c, d);
    STOA_SIP_ROUND(a, b, c, d);
    STOA_SIP_ROUND(a, b, c, d);
    return a ^ b ^ c ^ d;
}

/* Of str (its characters' bytes) and bytes. */
static inline Py_hash_t
stoa__hash_bytes(const void *bytes, size_t size)
{
    if (size == 0) {
        return 0;
    }
    Py_hash_t hash = stoa__runtime.siphash13 ? (Py_hash_t)stoa__siphash13(bytes, size)
                                             : stoa__runtime.hash_bytes(bytes, (Py_ssize_t)size);
    return hash == -1 ? -2 : hash;
}

static inline Py_hash_t
stoa__hash_pointer(const void *pointer)
{
    Py_hash_t hash = (Py_hash_t)stoa__rotate((uint64_t)(uintptr_t)pointer, 60);
    return hash == -1 ? -2 : hash;
}

/* Mixing of tuples' items; also of a frozendict's pairs and (without the length) of slices. */
#define STOA_TUPLE_SEED UINT64_C(2870177450012600261)
static inline uint64_t
stoa__hash_mix(uint64_t acc, Py_hash_t lane)
{
    acc += (uint64_t)lane * UINT64_C(14029467366897019727);
    return stoa__rotate(acc, 31) * UINT64_C(11400714785074694791);
}
static inline Py_hash_t
stoa__hash_tuple_end(uint64_t acc, size_t count)
{
    acc += count ^ (STOA_TUPLE_SEED ^ 3527539);
    return acc == UINT64_MAX ? 1546275796 : (Py_hash_t)acc;
}

/* Mixing of a frozenset's or frozendict's members, in any order. */
static inline uint64_t
stoa__hash_shuffle(uint64_t hash)
{
    return (hash ^ 89869747 ^ (hash << 16)) * UINT64_C(3644798167);
}
static inline Py_hash_t
stoa__hash_set_end(uint64_t acc, size_t count)
{
    acc ^= (count + 1) * UINT64_C(1927868237);
    acc ^= (acc >> 11) ^ (acc >> 25);
    acc = acc * 69069 + 907133923;
    return acc == UINT64_MAX ? 590923713 : (Py_hash_t)acc;
}

/* hash() of a shared object. STOA_OK; STOA_ETYPE: unhashable (a mapping inside, up to 3.14); STOA_ENOMEM (deep tuples up to
 * 3.13 need a stack). Leaves no message. Any thread, no GIL. */
stoa_err stoa__hash_of(const PyObject *object, Py_hash_t *out);

/* The same for str, and for what else caches its hash; else by stoa__hash_of. */
static inline stoa_err
stoa__hash_fast(const PyObject *object, Py_hash_t *out)
{
    if (object->ob_type == &PyUnicode_Type) {
        Py_hash_t hash = ((const PyASCIIObject *)object)->hash;
        if (hash != -1) {
            *out = hash;
            return STOA_OK;
        }
    }
    return stoa__hash_of(object, out);
}

#endif
