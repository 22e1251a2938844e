#include "proxy/thread_state.h"

#include <stdlib.h>
#include <unistd.h>

#include "heap/counters.h"
#include "heap/error.h"
#include "heap/fork.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "immortal/cpython/eval.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "proxy/interrupt.h"
#include "proxy/stead.h"
#include "proxy/thread_table.h"

/* C stack that an entry leaves to the code it calls; below it, STOA_ESTATE */
#define STACK_MARGIN ((uintptr_t)192 * 1024)

/* ---- entering ---------------------------------------------------------------------------------------------------- */

static stoa_kept *
make_kept(stoa_thread_table *table, stoa_interp_record *record)
{
    stoa_kept *kept = stoa__kept_find(table, record->serial);
    if (kept == NULL) {
        if (!stoa__kept_reserve(table) || (kept = calloc(1, sizeof(*kept))) == NULL) {
            return NULL;
        }
        kept->record = stoa__interp_ref(record);
        kept->waiter = stoa__waiter_ref(table->waiter);
        *stoa__kept_slot(table->slots, table->capacity, record->serial) = kept;
        table->used++;
        table->last = kept;
    }
    PyThreadState *state = PyThreadState_New(stoa__member(record)->interp);
    if (state == NULL) {
        return NULL;
    }
    STOA_COUNT(&stoa__process->counters, thread_states_made);
    stoa__kept_link(kept, state);
    return kept;
}

PyThreadState *
stoa__thread_state_below(const PyInterpreterState *interp)
{
    stoa_thread_table *table = stoa__thread_table_here;
    for (stoa_entry *entry = table == NULL ? NULL : table->top; entry != NULL; entry = entry->below) {
        if (entry->previous != NULL && entry->previous->interp == interp) {
            return entry->previous;
        }
    }
    return NULL;
}

/* The state this thread is to use: of an entry below, Python's own for this thread, kept, or a new one. */
static PyThreadState *
choose_state(stoa_thread_table *table, stoa_interp_record *record, stoa_entry *entry)
{
    PyInterpreterState *interp = stoa__member(record)->interp;
    if (table->top != NULL) {
        PyThreadState *state = stoa__thread_state_below(interp);
        if (state != NULL) {
            return state;
        }
    }
    if (entry->remembered != NULL && entry->remembered->interp == interp) {
        return entry->remembered;
    }
    stoa_kept *kept = stoa__kept_find(table, record->serial);
    if (kept == NULL || kept->state == NULL) {
        kept = make_kept(table, record);
    }
    return kept == NULL ? NULL : kept->state;
}

stoa_err
stoa__enter_held(stoa_interp_record *record, stoa_entry *entry)
{
    stoa_thread_table *table = stoa__thread_table_get();
    PyThreadState *previous = stoa__current_state();
    entry->record = record;
    entry->previous = previous;
    entry->remembered = previous == NULL ? PyGILState_GetThisThreadState() : NULL;
    entry->generation = stoa__fork_generation();
    entry->stead = NULL;
    PyThreadState *state = NULL;
    if (table != NULL) {
        if ((uintptr_t)__builtin_frame_address(0) < table->stack_low + STACK_MARGIN) {
            stoa__interp_leave(record);
            return stoa__fail(STOA_ESTATE,
                              "too many calls between interpreters on one thread: its stack is nearly "
                              "used up, in a call into interpreter '%s'",
                              record->name);
        }
        if (previous != NULL && previous->interp == stoa__member(record)->interp) {
            state = previous;
        }
        else {
            state = choose_state(table, record, entry);
        }
    }
    if (state == NULL) {
        stoa__interp_leave(record);
        return stoa__fail(STOA_ENOMEM, "no memory for a thread state in interpreter '%s'", record->name);
    }
    entry->entered = state;
    entry->below = table->top;
    table->top = entry;
    stoa__thread_stays_in(table, record);
    if (previous == NULL) {
        atomic_thread_fence(memory_order_seq_cst); /* no GIL orders this with who looks where we are */
    }
    bool interrupted = stoa__interrupts_wait(table->waiter);
    if (interrupted) {
        stoa__interrupts_recall(table->waiter);
    }
    if (state != previous) {
        stoa_kept *kept = stoa__kept_find(table, record->serial);
        if (kept != NULL && kept->state == state) {
            kept->depth++;
        }
        (void)PyThreadState_Swap(state);
    }
    if (interrupted) {
        stoa__interrupts_settle(table->waiter, NULL);
    }
    if (__builtin_expect(table->in_stead != NULL, 0)) {
        stoa__stead_enter(entry, table->in_stead);
    }
    STOA_COUNT(&stoa__process->counters, calls);
    return STOA_OK;
}

stoa_err
stoa__enter(stoa_interp_record *record, stoa_entry *entry)
{
    stoa_err err = stoa__interp_enter(record);
    return err != STOA_OK ? err : stoa__enter_held(record, entry);
}

/* A child forked inside a nested entry cannot go back: the interpreter below has not survived the fork. */
static void
check_generation(const stoa_entry *entry)
{
    if (entry->generation != stoa__fork_generation() && entry->previous != entry->entered &&
        entry->previous != NULL) {
        static const char text[] =
            "stoa: this process was forked inside a call between interpreters; the calling "
            "interpreter exists in the parent only, so the child ends here\n";
        (void)!write(2, text, sizeof(text) - 1);
        _exit(70);
    }
}

void
stoa__leave(stoa_entry *entry)
{
    stoa_thread_table *table = stoa__thread_table_here;
    stoa_interp_record *record = entry->record;
    check_generation(entry);
    if (__builtin_expect(entry->stead != NULL, 0)) {
        stoa__stead_leave(entry);
    }
    table->top = entry->below;
    stoa__thread_stays_in(table, entry->below == NULL ? NULL : entry->below->record);
    bool interrupted = stoa__interrupts_wait(table->waiter);
    if (interrupted) {
        stoa__interrupts_recall(table->waiter);
        stoa__interrupts_forget_left(table->waiter);
    }
    if (entry->entered != entry->previous) {
        stoa_kept *kept = stoa__kept_find(table, record->serial);
        if (kept != NULL && kept->state == entry->entered) {
            kept->depth--;
        }
        (void)PyThreadState_Swap(entry->previous);
        if (entry->previous == NULL) {
            stoa__gilstate_set(entry->remembered);
        }
    }
    if (interrupted) {
        stoa__interrupts_settle(table->waiter, entry->below == NULL ? NULL : entry->below->entered);
    }
    stoa__interp_leave(record);
}

PyObject *
stoa__enter_failed(stoa_err err)
{
    if (err == STOA_ESTATE) {
        return stoa__raise_as(PyExc_RecursionError, err);
    }
    return stoa__raise(err);
}

/* ---- who is where ------------------------------------------------------------------------------------------------ */

bool
stoa__thread_is_inside(const stoa_interp_record *record)
{
    stoa_member *member = record->cookie;
    PyThreadState *current = stoa__current_state();
    if (member != NULL && current != NULL && current->interp == member->interp) {
        return true;
    }
    for (stoa_entry *entry = stoa__thread_table_here == NULL ? NULL : stoa__thread_table_here->top;
         entry != NULL; entry = entry->below) {
        if (entry->record == record ||
            (member != NULL && entry->previous != NULL && entry->previous->interp == member->interp)) {
            return true;
        }
    }
    return false;
}

static size_t
add_serial(uint32_t *serials, size_t count, size_t max, uint32_t serial)
{
    for (size_t i = 0; i < count; i++) {
        if (serials[i] == serial) {
            return count;
        }
    }
    if (count < max) {
        serials[count++] = serial;
    }
    return count;
}

size_t
stoa__thread_inside(uint32_t *serials, size_t max)
{
    size_t count = 0;
    PyThreadState *lowest = stoa__current_state();
    for (stoa_entry *entry = stoa__thread_table_here == NULL ? NULL : stoa__thread_table_here->top;
         entry != NULL; entry = entry->below) {
        count = add_serial(serials, count, max, entry->record->serial);
        lowest = entry->previous;
    }
    if (lowest != NULL) {
        stoa_interp_record *native = stoa__interp_find_python(PyInterpreterState_GetID(lowest->interp), 0);
        if (native != NULL) {
            count = add_serial(serials, count, max, native->serial);
            stoa__interp_unref(native);
        }
    }
    return count;
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

bool
stoa__thread_states_after_fork(stoa_interp_record *record, uint32_t *own)
{
    stoa_thread_table *table = stoa__thread_table_here;
    PyThreadState *current = stoa__current_state();
    stoa_member *member = record->cookie;
    stoa_kept *kept = table == NULL ? NULL : stoa__kept_find(table, record->serial);
    if (table != NULL) {
        table->runs_signal_handlers = true; /* the only thread is the main one */
    }
    bool goes_on = member != NULL && current != NULL && current->interp == member->interp;
    if (kept != NULL && (!goes_on || kept->state != current)) {
        /* CPython's own work after a fork frees the states of threads that are not here, and other interpreters */
        kept->state = NULL;
        kept = NULL;
    }
    if (!goes_on) {
        record->cookie = NULL;
        free(member);
        return false;
    }
    member->kept = kept;
    member->worker = NULL;
    if (kept != NULL) {
        kept->prev = kept->next = NULL;
    }
    *own = 0;
    for (stoa_entry *entry = table == NULL ? NULL : table->top; entry != NULL; entry = entry->below) {
        *own += entry->record == record;
    }
    return true;
}
