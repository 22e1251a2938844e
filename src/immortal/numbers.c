#include "immortal/numbers.h"

#include "heap/error.h"

PyObject *
stoa__numbers_meet(stoa_walk *walk, stoa_frame *frame, PyObject *number)
{
    stoa_shared *twin = stoa__memo_find(&walk->memo, number);
    if (twin != NULL) {
        return stoa__pending(twin); /* it lies in the heap */
    }
    frame->recurring = true;
    return stoa__pending(number);
}

void
stoa__numbers_widen(stoa_walk *walk)
{
    if (walk->sieve == NULL && walk->sum_count > STOA_SIGNAL_FIRST) {
        return; /* there was no memory for one, and not all is known any more */
    }
    bool first = walk->sieve == NULL;
    stoa__sieve_widen(&walk->sieve, walk->batch.expected);
    for (size_t i = 0; first && walk->sieve != NULL && i < walk->sum_count; i++) {
        (void)stoa__sieve_add(walk->sieve, walk->sums[i]);
    }
}

stoa_content
stoa__frame_content(const stoa_walk *walk, const stoa_frame *frame)
{
    return (stoa_content){walk->slots + frame->base, walk->top - frame->base,
                          frame->numbers ? STOA_NUMBERS_PENDING : STOA_NUMBERS_NONE};
}

/* ---- taking what is there ------------------------------------------------------------------------------------------ */

static const PyObject *
child_of(const stoa_shared *container, size_t i)
{
    if (container->ob_type == &PyTuple_Type) {
        return ((const PyTupleObject *)container)->ob_item[i];
    }
    if (stoa__is_node(container)) {
        return ((const stoa_node *)container)->parts[i];
    }
    PyObject *key, *value;
    stoa__keys_entry(stoa__dict_keys(stoa__mapping_dict(container)), (Py_ssize_t)(i / 2), &key, &value);
    return i % 2 == 0 ? key : value;
}

bool
stoa__numbers_agree(stoa_walk *walk, const stoa_frame *frame, const stoa_shared *found)
{
    if (!frame->recurring) {
        return true;
    }
    for (size_t i = frame->base; i < walk->top; i++) {
        const PyObject *number = stoa__slot_object(walk->slots[i]);
        if (!stoa__is_pending(walk->slots[i]) || stoa__in_heap(number) || !stoa__met_again(number)) {
            continue;
        }
        const PyObject *child = child_of(found, i - frame->base);
        const PyObject *twin = stoa__memo_find(&walk->memo, number);
        if (twin == NULL ? !stoa__memo_put(&walk->memo, number, (void *)(uintptr_t)child) : twin != child) {
            return false;
        }
    }
    return true;
}

/* ---- laying down --------------------------------------------------------------------------------------------------- */

/* Where all numbers are interned. What the batch's flags say is about the container. */
static stoa_shared *
intern(stoa_walk *walk, PyObject *number)
{
    stoa_batch *batch = &walk->batch;
    unsigned flags = batch->flags;
    batch->flags &= ~(STOA_BATCH_FRESH | STOA_BATCH_UNMET);
    stoa_shared *made = stoa__make_number(batch, number);
    batch->flags = flags;
    walk->numbers_interned++;
    return made;
}

static inline stoa_shared *
make(stoa_walk *walk, PyObject *number, bool is_float, size_t digits)
{
    if (walk->numbers_interned < STOA_NUMBERS_INTERNED) {
        return intern(walk, number);
    }
    return is_float
               ? stoa__new_float(&walk->batch, PyFloat_AS_DOUBLE(number))
               : stoa__new_int(&walk->batch, stoa__int_is_negative(number), stoa__int_digits(number), digits);
}

PyObject *
stoa__numbers_bring(stoa_walk *walk, stoa_frame *frame, PyObject *number)
{
    stoa_shared *made = intern(walk, number);
    return made == NULL ? NULL : stoa__numbers_postpone(walk, frame, made);
}

/* A new one, or the same as one made lately. */
static inline stoa_shared *
lay(stoa_walk *walk, PyObject *number)
{
    bool is_float = Py_IS_TYPE(number, &PyFloat_Type);
    size_t digits = is_float ? 0 : stoa__int_digit_count(number);
    if (walk->numbers == NULL || digits > STOA_SHORT_INT) {
        return intern(walk, number);
    }
    uint64_t word = stoa__number_word(number);
    size_t at = (size_t)(word * UINT64_C(0x9E3779B97F4A7C15) >> (64 - STOA_NUMBERS_LOG2));
    stoa_number *line = walk->numbers->lines[at];
    for (size_t i = 0; i < STOA_NUMBERS_WAYS; i++) {
        if (line[i].word == word && line[i].shared != NULL && stoa__is_pending(line[i].shared) == is_float) {
            return stoa__slot_object(line[i].shared);
        }
    }
    stoa_shared *made = make(walk, number, is_float, digits);
    if (made != NULL) {
        memmove(line + 1, line, (STOA_NUMBERS_WAYS - 1) * sizeof(*line));
        line[0] = (stoa_number){word, is_float ? stoa__pending(made) : made};
    }
    return made;
}

static inline stoa_shared *
lay_one(stoa_walk *walk, PyObject *number)
{
    if (stoa__in_heap(number)) {
        return number;
    }
    bool again = stoa__met_again(number);
    stoa_shared *made = again ? stoa__memo_find(&walk->memo, number) : NULL;
    if (made != NULL) {
        return made;
    }
    made = lay(walk, number);
    if (made != NULL && again && !stoa__memo_put(&walk->memo, number, made)) {
        walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory to remember objects met twice");
        return NULL;
    }
    return made;
}

bool
stoa__numbers_lay(stoa_walk *walk, const stoa_frame *frame)
{
    if (!frame->numbers) {
        return true;
    }
    for (size_t i = frame->base; i < walk->top; i++) {
        if (stoa__is_pending(walk->slots[i])) {
            walk->slots[i] = lay_one(walk, stoa__slot_object(walk->slots[i]));
            if (walk->slots[i] == NULL) {
                return false;
            }
        }
    }
    return true;
}
