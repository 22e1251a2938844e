#include "immortal/equal.h"

#include <math.h>
#include <stdlib.h>

#include "heap/error.h"
#include "immortal/hash.h"
#include "immortal/image.h"
#include "immortal/lookup.h"

typedef enum verdict { DIFFERENT, EQUAL, LOOK_INSIDE } verdict;

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

static bool
is_int(const PyObject *object)
{
    return object->ob_type == &PyLong_Type || object->ob_type == &PyBool_Type;
}

static bool
equal_ints(const PyObject *a, const PyObject *b)
{
    size_t count = stoa__int_digit_count(a);
    return count == stoa__int_digit_count(b) && stoa__int_is_negative(a) == stoa__int_is_negative(b) &&
           memcmp(stoa__int_digits(a), stoa__int_digits(b), count * sizeof(digit)) == 0;
}

/* Exact: no rounding of the int. */
static bool
equal_int_double(const PyObject *integer, double value)
{
    size_t count = stoa__int_digit_count(integer);
    if (!isfinite(value) || value != floor(value)) {
        return false;
    }
    if (value == 0 || count == 0) {
        return value == 0 && count == 0;
    }
    if ((value < 0) != stoa__int_is_negative(integer)) {
        return false;
    }
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(value), &exponent),
                                        53); /* value = mantissa * 2^(exponent - 53) */
    if (count != ((size_t)exponent + PyLong_SHIFT - 1) / PyLong_SHIFT) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        long low = (long)i * PyLong_SHIFT - (exponent - 53); /* bit of the mantissa at which this digit begins */
        uint64_t bits = low >= 64             ? 0
                        : low >= 0            ? mantissa >> low
                        : low > -PyLong_SHIFT ? mantissa << -low
                                              : 0;
        if (stoa__int_digits(integer)[i] != (bits & PyLong_MASK)) {
            return false;
        }
    }
    return true;
}

/* `real` and `imag` of a float or complex; false: it is neither. */
static bool
inexact_parts(const PyObject *object, double *real, double *imag)
{
    if (object->ob_type == &PyFloat_Type) {
        *real = ((const PyFloatObject *)object)->ob_fval;
        *imag = 0;
        return true;
    }
    if (object->ob_type == &PyComplex_Type) {
        *real = ((const PyComplexObject *)object)->cval.real;
        *imag = ((const PyComplexObject *)object)->cval.imag;
        return true;
    }
    return false;
}

static bool
equal_numbers(const PyObject *a, const PyObject *b)
{
    double ar, ai, br, bi;
    bool a_inexact = inexact_parts(a, &ar, &ai), b_inexact = inexact_parts(b, &br, &bi);
    if (a_inexact && b_inexact) {
        return ar == br && ai == bi;
    }
    if (a_inexact) {
        return is_int(b) && ai == 0 && equal_int_double(b, ar);
    }
    return b_inexact ? bi == 0 && equal_int_double(a, br) : is_int(b) && equal_ints(a, b);
}

/* ---- others that have nothing to look into --------------------------------------------------------------------------- */

static bool
equal_ranges(const stoa_range *a, const stoa_range *b)
{
    size_t count = stoa__int_digit_count(a->length);
    if (!equal_ints(a->length, b->length)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    return equal_ints(a->start, b->start) &&
           ((count == 1 && stoa__int_digits(a->length)[0] == 1) || equal_ints(a->step, b->step));
}

/* Fields after head and hash code. A time zone can only be UTC here; `fold` does not count. */
static bool
equal_dates(const PyObject *a, const PyObject *b)
{
    const char *p = (const char *)a + sizeof(PyObject) + sizeof(Py_hash_t);
    const char *q = (const char *)b + sizeof(PyObject) + sizeof(Py_hash_t);
    const PyTypeObject *type = a->ob_type;
    if (type == stoa__runtime.timedelta) {
        return memcmp(p, q, 3 * sizeof(int)) == 0;
    }
    if (type == stoa__runtime.date) {
        return memcmp(p + 1, q + 1, 4) == 0;
    }
    return (p[0] != 0) == (q[0] != 0) && memcmp(p + 1, q + 1, type == stoa__runtime.time ? 6 : 10) == 0;
}

static verdict
equal_leaf(const PyObject *a, const PyObject *b)
{
    if (a == b) {
        return EQUAL;
    }
    const PyTypeObject *type = a->ob_type;
    bool same = false;
    if (is_int(a) || type == &PyFloat_Type || type == &PyComplex_Type) {
        return equal_numbers(a, b) ? EQUAL : DIFFERENT;
    }
    if (type != b->ob_type) {
        return DIFFERENT;
    }
    if (type == &PyUnicode_Type) {
        same = stoa__equal_str(a, b);
    }
    else if (type == &PyTuple_Type) {
        return Py_SIZE(a) == Py_SIZE(b) ? LOOK_INSIDE : DIFFERENT;
    }
    else if (type == &PyBytes_Type) {
        same = Py_SIZE(a) == Py_SIZE(b) && memcmp(((const PyBytesObject *)a)->ob_sval,
                                                  ((const PyBytesObject *)b)->ob_sval, (size_t)Py_SIZE(a)) == 0;
    }
    else if (type == &PyFrozenSet_Type) {
        const PySetObject *s = (const PySetObject *)a, *t = (const PySetObject *)b;
        return s->used == t->used && s->hash == t->hash ? LOOK_INSIDE : DIFFERENT;
    }
    else if (type == &PyRange_Type) {
        same = equal_ranges((const stoa_range *)a, (const stoa_range *)b);
    }
    else if (type == &PySlice_Type) {
        return LOOK_INSIDE;
    }
    else if (type == stoa__runtime.date || type == stoa__runtime.datetime || type == stoa__runtime.time ||
             type == stoa__runtime.timedelta) {
        same = equal_dates(a, b);
    }
    else if (type == &STOA_MAPPING_TYPE) {
        return stoa__mapping_dict(a)->ma_used == stoa__mapping_dict(b)->ma_used ? LOOK_INSIDE : DIFFERENT;
    }
    return same ? EQUAL : DIFFERENT;
}

/* ---- containers, without recursion ----------------------------------------------------------------------------------- */

/* A comparison under way. `at`: item of `a` that is being compared. Sets and mappings: that item's candidates in `b`. */
typedef struct frame {
    const PyObject *a, *b;
    Py_ssize_t at;
    Py_ssize_t found;      /* mappings: the candidate's index */
    bool comparing_values; /* mappings: the keys were found equal */
    union {
        stoa_set_probe set;
        stoa_keys_probe keys;
    } probe;
} frame;

typedef enum step { STEP_COMPARE, STEP_DONE_EQUAL, STEP_DONE_DIFFERENT } step;

/* Each of the three: told how the last comparison went (EQUAL at the beginning), says what to compare next. */
static step
step_items(frame *f, verdict last, const PyObject **x, const PyObject **y)
{
    bool is_slice = f->a->ob_type == &PySlice_Type;
    if (last == DIFFERENT) {
        return STEP_DONE_DIFFERENT;
    }
    if (f->at == (is_slice ? 3 : Py_SIZE(f->a))) {
        return STEP_DONE_EQUAL;
    }
    *x = (is_slice ? &((const PySliceObject *)f->a)->start : ((const PyTupleObject *)f->a)->ob_item)[f->at];
    *y = (is_slice ? &((const PySliceObject *)f->b)->start : ((const PyTupleObject *)f->b)->ob_item)[f->at];
    f->at++;
    return STEP_COMPARE;
}

static step
step_set(frame *f, verdict last, const PyObject **x, const PyObject **y)
{
    const PySetObject *a = (const PySetObject *)f->a, *b = (const PySetObject *)f->b;
    if (last == EQUAL) { /* to the next member; `at` is one past the current one */
        while (f->at <= a->mask && a->table[f->at].key == NULL) {
            f->at++;
        }
        if (f->at > a->mask) {
            return STEP_DONE_EQUAL;
        }
        stoa__set_probe_begin(&f->probe.set, b->table, (size_t)b->mask, a->table[f->at].hash);
        f->at++;
    }
    const setentry *entry = stoa__set_probe_next(&f->probe.set);
    *x = a->table[f->at - 1].key;
    *y = entry->key;
    return entry->key == NULL ? STEP_DONE_DIFFERENT : STEP_COMPARE;
}

static step
step_mapping(frame *f, verdict last, const PyObject **x, const PyObject **y)
{
    const stoa_keys *a = stoa__dict_keys(stoa__mapping_dict(f->a)),
                    *b = stoa__dict_keys(stoa__mapping_dict(f->b));
    PyObject *key, *value, *other_key, *other_value;
    bool begin = f->at == 0;
    if (!begin && last == EQUAL &&
        !f->comparing_values) { /* keys are equal: now the values, of the entry found last */
        f->comparing_values = true;
        stoa__keys_entry(a, f->at - 1, &key, &value);
        stoa__keys_entry(b, f->found, &other_key, &other_value);
        *x = value;
        *y = other_value;
        return STEP_COMPARE;
    }
    if (f->comparing_values && last == DIFFERENT) {
        return STEP_DONE_DIFFERENT;
    }
    if (begin || f->comparing_values) {
        if (f->at == a->nentries) {
            return STEP_DONE_EQUAL;
        }
        Py_hash_t hash;
        stoa__keys_entry(a, f->at, &key, &value);
        if (stoa__hash_fast(key, &hash) != STOA_OK) {
            return STEP_DONE_DIFFERENT;
        }
        stoa__keys_probe_begin(&f->probe.keys, b, hash);
        f->comparing_values = false;
        f->at++;
    }
    f->found = stoa__keys_probe_next(&f->probe.keys);
    if (f->found < 0) {
        return STEP_DONE_DIFFERENT;
    }
    stoa__keys_entry(a, f->at - 1, &key, &value);
    stoa__keys_entry(b, f->found, &other_key, &other_value);
    *x = key;
    *y = other_key;
    return STEP_COMPARE;
}

static step
step_frame(frame *f, verdict last, const PyObject **x, const PyObject **y)
{
    if (f->a->ob_type == &PyFrozenSet_Type) {
        return step_set(f, last, x, y);
    }
    if (f->a->ob_type == &STOA_MAPPING_TYPE) {
        return step_mapping(f, last, x, y);
    }
    return step_items(f, last, x, y);
}

typedef struct stack {
    frame few[8], *frames;
    size_t depth, room;
} stack;

static bool
push(stack *s, const PyObject *a, const PyObject *b)
{
    if (s->depth == s->room) {
        frame *more = realloc(s->frames == s->few ? NULL : s->frames, 2 * s->room * sizeof *more);
        if (more == NULL) {
            return false;
        }
        if (s->frames == s->few) {
            memcpy(more, s->few, sizeof s->few);
        }
        s->frames = more;
        s->room *= 2;
    }
    frame *f = &s->frames[s->depth++];
    f->a = a;
    f->b = b;
    f->at = 0;
    f->comparing_values = false;
    return true;
}

stoa_err
stoa__equal(const PyObject *a, const PyObject *b, bool *out)
{
    verdict last = equal_leaf(a, b);
    if (last != LOOK_INSIDE) {
        *out = last == EQUAL;
        return STOA_OK;
    }
    stack s = {.frames = s.few, .depth = 0, .room = sizeof s.few / sizeof s.few[0]};
    stoa_err err = STOA_OK;
    push(&s, a, b);
    last = EQUAL;
    while (s.depth > 0) {
        const PyObject *x = NULL, *y = NULL;
        step next = step_frame(&s.frames[s.depth - 1], last, &x, &y);
        if (next != STEP_COMPARE) {
            last = next == STEP_DONE_EQUAL ? EQUAL : DIFFERENT;
            s.depth--;
            continue;
        }
        last = equal_leaf(x, y);
        if (last == LOOK_INSIDE) {
            if (!push(&s, x, y)) {
                err = STOA_ENOMEM;
                break;
            }
            last = EQUAL;
        }
    }
    if (s.frames != s.few) {
        free(s.frames);
    }
    *out = last == EQUAL;
    return err;
}

bool
stoa__shared_equal(const PyObject *a, const PyObject *b)
{
    bool equal = false;
    if (stoa__equal(a, b, &equal) != STOA_OK) {
        stoa__fail(STOA_ENOMEM, "no memory to compare deeply nested objects");
        return false;
    }
    return equal;
}
