/* The walk's half of content.h: numbers that wait for what holds them, and are laid down beside it.
 *
 * The first thousands of numbers that a walk lays down are interned, so documents with few of them share theirs. Later it
 * only looks whether it has made the same number lately: numbers that come again do so soon (line numbers, steps,
 * defaults), and a small table that is in the processor's cache finds them.
 * A number that the source refers to more than once becomes one object: the memo has it, as it has containers.
 */
#ifndef STOA_IMMORTAL_NUMBERS_H
#define STOA_IMMORTAL_NUMBERS_H

#include "immortal/content.h"
#include "immortal/foreign.h"
#include "immortal/sieve.h"
#include "immortal/walk.h"

#define STOA_NUMBERS_INTERNED 4096u /* numbers of a walk that are interned one by one */
#define STOA_NUMBERS_LOG2 10        /* lines of the processor's cache */
#define STOA_NUMBERS_WAYS 4u        /* numbers in one */

typedef struct stoa_number {
    uint64_t word;
    stoa_shared *shared; /* NULL: none; marked as pending: a float, whose word may be that of an int */
} stoa_number;

/* Numbers that were made lately, by what their value says; in each line the latest first. Only ones that the word tells
 * apart. */
typedef struct stoa_numbers {
    stoa_number lines[1u << STOA_NUMBERS_LOG2][STOA_NUMBERS_WAYS];
} stoa_numbers;

/* Of a slot, which may hold a pending number. */
static inline bool
stoa__slot_is_node(const PyObject *child)
{
    return !stoa__is_pending(child) && stoa__is_node(child);
}

/* May numbers wait that are children of the frame? */
static inline bool
stoa__numbers_wait(const stoa_frame *frame)
{
    return frame->kind == STOA_FRAME_TUPLE || frame->kind == STOA_FRAME_MAPPING ||
           frame->kind == STOA_FRAME_FOREIGN;
}

/* An immortal object, which is counted no more, is met as often as one likes. */
static inline bool
stoa__met_again(const PyObject *number)
{
    return Py_REFCNT((PyObject *)number) > 1;
}

/* The pending child for a number that may have been met before. */
PyObject *stoa__numbers_meet(stoa_walk *walk, stoa_frame *frame, PyObject *number);

/* The pending child for a number that the walk has come to; one in the heap is within reach of the region. */
static inline PyObject *
stoa__numbers_postpone(stoa_walk *walk, stoa_frame *frame, PyObject *number)
{
    frame->numbers = true;
    frame->sum = stoa__sieve_sum(frame->sum, stoa__number_word(number));
    return stoa__met_again(number) && !stoa__in_heap(number) ? stoa__numbers_meet(walk, frame, number)
                                                             : stoa__pending(number);
}

/* The same for a number in the heap of another region: a copy. NULL: batch.err and the message are set. */
PyObject *stoa__numbers_bring(stoa_walk *walk, stoa_frame *frame, PyObject *number);

/* The walk turns out to be long. */
void stoa__numbers_widen(stoa_walk *walk);

/* Notes that a container with the frame's numbers is made. True: the walk has made none with these before. */
static inline bool
stoa__numbers_unmet(stoa_walk *walk, const stoa_frame *frame)
{
    if (walk->sieve != NULL) {
        return stoa__sieve_add(walk->sieve, frame->sum);
    }
    if (walk->sum_count < STOA_SIGNAL_FIRST) {
        walk->sums[walk->sum_count] = frame->sum;
    }
    walk->sum_count++;
    return false;
}

/* The content of a frame that is complete. */
stoa_content stoa__frame_content(const stoa_walk *walk, const stoa_frame *frame);

/* Something shared has this content. Can it be taken? It stands for all numbers of the frame that can be met again, so
 * those become the numbers in it, unless one of them is another object already. False, too: no memory. */
bool stoa__numbers_agree(stoa_walk *walk, const stoa_frame *frame, const stoa_shared *found);

/* Nothing has it: lays the pending numbers down. False: batch.err and the message are set. */
bool stoa__numbers_lay(stoa_walk *walk, const stoa_frame *frame);

#endif
