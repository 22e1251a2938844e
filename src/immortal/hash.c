#include "immortal/hash.h"

#include <math.h>
#include <stdlib.h>

#include "heap/error.h"
#include "immortal/image.h"

/* `object`: the float or complex itself; a NaN is hashed by its address. */
static Py_hash_t
hash_double(const PyObject *object, double value)
{
    if (isnan(value)) {
        return stoa__hash_pointer(object);
    }
    if (isinf(value)) {
        return value > 0 ? 314159 : -314159;
    }
    uint64_t bits, x;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 52 & 0x7ff);
    x = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent != 0) {
        x |= UINT64_C(1) << 52;
    }
    else {
        exponent = 1;
    }
    /* x * 2^(exponent - 1075) modulo 2^61 - 1, where multiplying by two is a rotation of 61 bits */
    int turn = (exponent - 1075) % 61;
    turn += turn < 0 ? 61 : 0;
    x = (x << turn & STOA_HASH_MODULUS) | x >> (61 - turn);
    Py_hash_t hash = bits >> 63 ? -(Py_hash_t)x : (Py_hash_t)x;
    return hash == -1 ? -2 : hash;
}

static Py_hash_t
hash_digits(bool negative, const digit *digits, size_t count)
{
    uint64_t x = 0;
    while (count > 0) {
        x = (x << PyLong_SHIFT & STOA_HASH_MODULUS) | x >> (61 - PyLong_SHIFT);
        x += digits[--count];
        x -= x >= STOA_HASH_MODULUS ? STOA_HASH_MODULUS : 0;
    }
    Py_hash_t hash = negative ? -(Py_hash_t)x : (Py_hash_t)x;
    return hash == -1 ? -2 : hash;
}

static Py_hash_t
hash_int(const PyObject *object)
{
    return hash_digits(stoa__int_is_negative(object), stoa__int_digits(object), stoa__int_digit_count(object));
}

static Py_hash_t
hash_complex(const PyComplexObject *object)
{
    uint64_t real = (uint64_t)hash_double(&object->ob_base, object->cval.real);
    uint64_t imag = (uint64_t)hash_double(&object->ob_base, object->cval.imag);
    Py_hash_t hash = (Py_hash_t)(real + 1000003 * imag);
    return hash == -1 ? -2 : hash;
}

#define HASH_NONE ((Py_hash_t)0xFCA86420) /* a constant since 3.12 */

/* As the tuple (length, start or None, step or None): what cannot be seen in the range does not count. */
static Py_hash_t
hash_range(const stoa_range *range)
{
    size_t digits = stoa__int_digit_count(range->length);
    bool empty = digits == 0, one = digits == 1 && stoa__int_digits(range->length)[0] == 1;
    uint64_t acc = stoa__hash_mix(STOA_TUPLE_SEED, hash_int(range->length));
    acc = stoa__hash_mix(acc, empty ? HASH_NONE : hash_int(range->start));
    acc = stoa__hash_mix(acc, empty || one ? HASH_NONE : hash_int(range->step));
    return stoa__hash_tuple_end(acc, 3);
}

/* Hashes all but tuples without a cached hash, and slices: those answer STOA_ESTATE ("look inside"). */
static stoa_err
hash_leaf(const PyObject *object, Py_hash_t *out)
{
    const PyTypeObject *type = object->ob_type;
    if (type == &PyUnicode_Type) {
        const PyASCIIObject *str = (const PyASCIIObject *)object;
        *out = str->hash != -1 ? str->hash
                               : stoa__hash_bytes(stoa__str_data(str), (size_t)str->length * str->state.kind);
    }
    else if (type == &PyLong_Type || type == &PyBool_Type) {
        *out = hash_int(object);
    }
    else if (type == &PyTuple_Type) {
        if (Py_SIZE(object) == 0) {
            *out = stoa__hash_tuple_end(STOA_TUPLE_SEED, 0);
            return STOA_OK;
        }
#if STOA_TUPLE_HAS_HASH
        if (stoa__in_heap(object)) {
            *out = STOA_TUPLE_HASH(object);
            return *out == -1 ? STOA_ETYPE : STOA_OK;
        }
#endif
        return STOA_ESTATE;
    }
    else if (type == &PyFloat_Type) {
        *out = hash_double(object, ((const PyFloatObject *)object)->ob_fval);
    }
    else if (type == &PyBytes_Type) {
        *out = stoa__hash_bytes(((const PyBytesObject *)object)->ob_sval, (size_t)Py_SIZE(object));
    }
    else if (type == &PyFrozenSet_Type) {
        *out = ((const PySetObject *)object)->hash;
    }
    else if (object == Py_None) {
        *out = HASH_NONE;
    }
    else if (type == &PyComplex_Type) {
        *out = hash_complex((const PyComplexObject *)object);
    }
    else if (type == &PyRange_Type) {
        *out = hash_range((const stoa_range *)object);
    }
    else if (type == &PySlice_Type) {
        return STOA_ESTATE;
    }
    else if (type == &STOA_MAPPING_TYPE) {
#if STOA_HAS_FROZENDICT
        *out = ((const stoa_frozendict *)object)->hash;
        return *out == -1 ? STOA_ETYPE : STOA_OK;
#else
        return STOA_ETYPE;
#endif
    }
    else if (object == stoa__runtime.utc) {
        *out = stoa__runtime.utc_hash;
    }
    else if (type == stoa__runtime.date || type == stoa__runtime.datetime || type == stoa__runtime.time ||
             type == stoa__runtime.timedelta) {
        memcpy(out, (const char *)object + sizeof(PyObject), sizeof *out); /* filled in when it was frozen */
    }
    else { /* types, Ellipsis, NotImplemented */
        *out = stoa__hash_pointer(object);
    }
    return STOA_OK;
}

/* ---- tuples and slices, without recursion --------------------------------------------------------------------------- */

typedef struct frame {
    PyObject *const *items;
    Py_ssize_t count, at;
    uint64_t acc;
    bool is_slice;
} frame;

static void
open_frame(frame *f, const PyObject *object)
{
    f->is_slice = object->ob_type == &PySlice_Type;
    f->items = f->is_slice ? &((const PySliceObject *)object)->start : ((const PyTupleObject *)object)->ob_item;
    f->count = f->is_slice ? 3 : Py_SIZE(object);
    f->at = 0;
    f->acc = STOA_TUPLE_SEED;
}

static Py_hash_t
close_frame(const frame *f)
{
    if (f->is_slice) {
        return f->acc == UINT64_MAX ? 1546275796 : (Py_hash_t)f->acc;
    }
    return stoa__hash_tuple_end(f->acc, (size_t)f->count);
}

stoa_err
stoa__hash_of(const PyObject *object, Py_hash_t *out)
{
    stoa_err err = hash_leaf(object, out);
    if (err != STOA_ESTATE) {
        return err;
    }
    frame few[16], *stack = few;
    size_t depth = 1, room = sizeof few / sizeof few[0];
    open_frame(&stack[0], object);
    err = STOA_OK;
    for (;;) {
        frame *top = &stack[depth - 1];
        if (top->at == top->count) {
            *out = close_frame(top);
            if (--depth == 0) {
                break;
            }
            top--;
            top->acc = stoa__hash_mix(top->acc, *out);
            continue;
        }
        const PyObject *item = top->items[top->at++];
        err = hash_leaf(item, out);
        if (err == STOA_OK) {
            top->acc = stoa__hash_mix(top->acc, *out);
            continue;
        }
        if (err != STOA_ESTATE) {
            break;
        }
        err = STOA_OK;
        if (depth == room) {
            frame *more = realloc(stack == few ? NULL : stack, 2 * room * sizeof *stack);
            if (more == NULL) {
                err = STOA_ENOMEM;
                break;
            }
            if (stack == few) {
                memcpy(more, few, sizeof few);
            }
            stack = more;
            room *= 2;
        }
        open_frame(&stack[depth++], item);
    }
    if (stack != few) {
        free(stack);
    }
    return err;
}

bool
stoa__shared_hash(const PyObject *object, Py_hash_t *out)
{
    stoa_err err = stoa__hash_fast(object, out);
    if (err == STOA_ETYPE) {
        stoa__fail(err, "this '%.200s' is not hashable, or holds something that is not",
                   object->ob_type->tp_name);
    }
    else if (err != STOA_OK) {
        stoa__fail(err, "no memory to hash a deeply nested tuple");
    }
    return err == STOA_OK;
}
