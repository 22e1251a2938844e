#include "proxy/thread_state.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "heap/counters.h"
#include "heap/error.h"
#include "heap/fork.h"
#include "heap/guard.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "heap/thread_end.h"
#include "immortal/cpython/eval.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/exceptions.h"
#include "proxy/ticker.h"

/* C stack that an entry leaves to the code it calls; below it, STOA_ESTATE */
#define STACK_MARGIN ((uintptr_t)192 * 1024)

/* A thread state made by us. Its memory belongs to the thread's table, or to the list once the thread is gone. */
struct stoa_kept {
    PyThreadState *state;          /* see invariants 1 and 2; NULL: taken down */
    stoa_interp_record *record;    /* const: a reference is held */
    struct stoa_kept *prev, *next; /* guarded by the record's lock: the member's list */
    stoa_waiter *waiter;           /* const: its thread's; a reference */
    uint32_t depth; /* written by its thread; read by stoa__thread_states_interrupt under the GIL */
    bool orphan;    /* guarded by the record's lock: its thread is gone, who takes it down frees it */
};

/* All of a thread; touched by that thread only. */
typedef struct thread_table {
    stoa_kept **slots; /* open addressing by serial; capacity a power of two */
    size_t capacity, used;
    stoa_kept *last;     /* found last */
    stoa_entry *top;     /* the innermost entry */
    uintptr_t stack_low; /* lowest address of this thread's stack; 0: unknown */
    stoa_waiter *waiter; /* a reference: others see there what this thread is inside */
    bool runs_signal_handlers;
} thread_table;

static _Thread_local thread_table *table_here;

/* ---- a thread's table -------------------------------------------------------------------------------------------- */

static void end_of_thread(void *arg);

static uintptr_t
find_stack_low(void)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0, guard = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return 0;
    }
    if (pthread_attr_getstack(&attributes, &low, &size) != 0 ||
        pthread_attr_getguardsize(&attributes, &guard) != 0) {
        low = NULL;
    }
    pthread_attr_destroy(&attributes);
    return low == NULL ? 0 : (uintptr_t)low + guard;
}

static thread_table *
make_table(void)
{
    stoa_waiter *waiter = stoa__waiter_here();
    thread_table *table = waiter == NULL ? NULL : calloc(1, sizeof(*table));
    if (table != NULL) {
        table->waiter = stoa__waiter_ref(waiter);
        table->runs_signal_handlers = stoa__is_signal_thread();
        table->stack_low = find_stack_low();
        table_here = table;
        stoa__at_thread_end(end_of_thread, table);
        stoa__guard_thread();
    }
    return table;
}

static inline thread_table *
get_table(void)
{
    thread_table *table = table_here;
    return table != NULL ? table : make_table();
}

/* For others to see; and whoever runs signal handlers is watched while it is inside another interpreter. */
static inline void
stay_in(thread_table *table, stoa_interp_record *record)
{
    atomic_store_explicit(&table->waiter->innermost, record, memory_order_relaxed);
    if (table->runs_signal_handlers && record != NULL) {
        stoa__ticker_watches(table->waiter);
    }
}

static stoa_kept **
find_slot(stoa_kept **slots, size_t capacity, uint32_t serial)
{
    for (size_t i = serial * 0x9E3779B1u;; i++) {
        stoa_kept **slot = &slots[i & (capacity - 1)];
        if (*slot == NULL || (*slot)->record->serial == serial) {
            return slot;
        }
    }
}

static stoa_kept *
find_kept(thread_table *table, uint32_t serial)
{
    stoa_kept *kept = table->last;
    if (kept != NULL && kept->record->serial == serial) {
        return kept;
    }
    if (table->capacity == 0) {
        return NULL;
    }
    kept = *find_slot(table->slots, table->capacity, serial);
    if (kept != NULL) {
        table->last = kept;
    }
    return kept;
}

static void
free_kept(stoa_kept *kept)
{
    stoa__interp_unref(kept->record);
    stoa__waiter_unref(kept->waiter);
    free(kept);
}

/* Room for one more; entries of interpreters that are gone are dropped on the way. */
static bool
reserve_slot(thread_table *table)
{
    if ((table->used + 1) * 2 <= table->capacity) {
        return true;
    }
    size_t live = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        stoa_kept *kept = table->slots[i];
        live += kept != NULL && kept->record->state != STOA_INTERP_GONE;
    }
    size_t capacity = 8;
    while ((live + 1) * 2 > capacity) {
        capacity *= 2;
    }
    stoa_kept **slots = calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    table->last = NULL;
    table->used = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        stoa_kept *kept = table->slots[i];
        if (kept == NULL) {
            continue;
        }
        if (kept->record->state == STOA_INTERP_GONE) {
            free_kept(kept);
            continue;
        }
        *find_slot(slots, capacity, kept->record->serial) = kept;
        table->used++;
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

/* ---- the member's list ------------------------------------------------------------------------------------------- */

static void
link_kept(stoa_kept *kept, PyThreadState *state)
{
    stoa_interp_record *record = kept->record;
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    kept->state = state;
    kept->prev = NULL;
    kept->next = member->kept;
    if (kept->next != NULL) {
        kept->next->prev = kept;
    }
    member->kept = kept;
    stoa__unlock(&record->lock);
}

/* Record's lock held. Returns the state, which nobody else will touch from now on. */
static PyThreadState *
unlink_kept(stoa_member *member, stoa_kept *kept)
{
    PyThreadState *state = kept->state;
    kept->state = NULL;
    if (kept->prev != NULL) {
        kept->prev->next = kept->next;
    }
    else {
        member->kept = kept->next;
    }
    if (kept->next != NULL) {
        kept->next->prev = kept->prev;
    }
    return state;
}

/* ---- entering ---------------------------------------------------------------------------------------------------- */

static stoa_kept *
make_kept(thread_table *table, stoa_interp_record *record)
{
    stoa_kept *kept = find_kept(table, record->serial);
    if (kept == NULL) {
        if (!reserve_slot(table) || (kept = calloc(1, sizeof(*kept))) == NULL) {
            return NULL;
        }
        kept->record = stoa__interp_ref(record);
        kept->waiter = stoa__waiter_ref(table->waiter);
        *find_slot(table->slots, table->capacity, record->serial) = kept;
        table->used++;
        table->last = kept;
    }
    PyThreadState *state = PyThreadState_New(stoa__member(record)->interp);
    if (state == NULL) {
        return NULL;
    }
    STOA_COUNT(&stoa__process->counters, thread_states_made);
    link_kept(kept, state);
    return kept;
}

PyThreadState *
stoa__thread_state_below(const PyInterpreterState *interp)
{
    thread_table *table = table_here;
    for (stoa_entry *entry = table == NULL ? NULL : table->top; entry != NULL; entry = entry->below) {
        if (entry->previous != NULL && entry->previous->interp == interp) {
            return entry->previous;
        }
    }
    return NULL;
}

/* The state this thread is to use: of an entry below, Python's own for this thread, kept, or a new one. */
static PyThreadState *
choose_state(thread_table *table, stoa_interp_record *record, stoa_entry *entry)
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
    stoa_kept *kept = find_kept(table, record->serial);
    if (kept == NULL || kept->state == NULL) {
        kept = make_kept(table, record);
    }
    return kept == NULL ? NULL : kept->state;
}

stoa_err
stoa__enter_held(stoa_interp_record *record, stoa_entry *entry)
{
    thread_table *table = get_table();
    PyThreadState *previous = stoa__current_state();
    entry->record = record;
    entry->previous = previous;
    entry->remembered = previous == NULL ? PyGILState_GetThisThreadState() : NULL;
    entry->generation = stoa__fork_generation();
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
    stay_in(table, record);
    if (state != previous) {
        stoa_kept *kept = find_kept(table, record->serial);
        if (kept != NULL && kept->state == state) {
            kept->depth++;
        }
        (void)PyThreadState_Swap(state);
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
    thread_table *table = table_here;
    stoa_interp_record *record = entry->record;
    check_generation(entry);
    table->top = entry->below;
    stay_in(table, entry->below == NULL ? NULL : entry->below->record);
    if (entry->entered != entry->previous) {
        stoa_kept *kept = find_kept(table, record->serial);
        if (kept != NULL && kept->state == entry->entered) {
            kept->depth--;
        }
        (void)PyThreadState_Swap(entry->previous);
        if (entry->previous == NULL) {
            stoa__gilstate_set(entry->remembered);
        }
    }
    stoa__interp_leave(record);
}

PyObject *
stoa__enter_failed(stoa_err err)
{
    if (err == STOA_ESTATE) {
        PyErr_SetString(PyExc_RecursionError, stoa_error_message());
        return NULL;
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
    for (stoa_entry *entry = table_here == NULL ? NULL : table_here->top; entry != NULL; entry = entry->below) {
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
    for (stoa_entry *entry = table_here == NULL ? NULL : table_here->top; entry != NULL; entry = entry->below) {
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

/* ---- taking down ------------------------------------------------------------------------------------------------- */

static bool
in_use_here(const PyThreadState *state)
{
    if (state == stoa__current_state()) {
        return true;
    }
    for (stoa_entry *entry = table_here == NULL ? NULL : table_here->top; entry != NULL; entry = entry->below) {
        if (entry->previous == state || entry->entered == state) {
            return true;
        }
    }
    return false;
}

void
stoa__thread_states_take_down(stoa_interp_record *record, bool orphans_only)
{
    for (;;) {
        stoa__lock(&record->lock);
        stoa_member *member = record->cookie;
        stoa_kept *kept = member->kept;
        while (kept != NULL && ((orphans_only && !kept->orphan) || in_use_here(kept->state))) {
            kept = kept->next;
        }
        if (kept == NULL) {
            stoa__unlock(&record->lock);
            return;
        }
        PyThreadState *state = unlink_kept(member, kept);
        bool orphan = kept->orphan;
        stoa__unlock(&record->lock);
        /* its thread may end from here on and free `kept` unless that is left to us */
        if (orphan) {
            free_kept(kept);
        }
        PyThreadState_Clear(state); /* may run Python code */
        PyThreadState_Delete(state);
        STOA_COUNT(&stoa__process->counters, thread_states_ended);
    }
}

/* The thread ends: inside the interpreter, clears and deletes its own state. */
static void
take_down_own(stoa_kept *kept)
{
    stoa_interp_record *record = kept->record;
    stoa_entry entry;
    if (stoa__enter(record, &entry) != STOA_OK) {
        /* being closed: the closer takes it down, now or later; if it has done so, the memory is ours */
        stoa__lock(&record->lock);
        bool dead = kept->state == NULL || record->cookie == NULL;
        kept->orphan = !dead;
        stoa__unlock(&record->lock);
        if (dead) {
            free_kept(kept);
        }
        return;
    }
    PyThreadState *state = kept->state;
    if (state == NULL || entry.entered != state) { /* taken down before, or Python's own state was entered */
        if (state != NULL) {
            stoa__lock(&record->lock);
            (void)unlink_kept(record->cookie, kept);
            stoa__unlock(&record->lock);
            PyThreadState_Clear(state);
            PyThreadState_Delete(state);
            STOA_COUNT(&stoa__process->counters, thread_states_ended);
        }
        stoa__leave(&entry);
        free_kept(kept);
        return;
    }
    PyThreadState_Clear(state); /* may run Python code, which may enter and leave */
    stoa__lock(&record->lock);
    (void)unlink_kept(record->cookie, kept);
    stoa__unlock(&record->lock);
    table_here->top = entry.below;
    stay_in(table_here, entry.below == NULL ? NULL : entry.below->record);
    PyThreadState_DeleteCurrent();
    stoa__gilstate_set(entry.remembered);
    STOA_COUNT(&stoa__process->counters, thread_states_ended);
    stoa__interp_leave(record);
    free_kept(kept);
}

static void
end_of_thread(void *arg)
{
    thread_table *table = arg;
    if (table != table_here) { /* a forked child dropped it */
        return;
    }
    for (;;) { /* code that runs meanwhile may enter further interpreters */
        stoa_kept *kept = NULL;
        for (size_t i = 0; i < table->capacity && kept == NULL; i++) {
            kept = table->slots[i];
            table->slots[i] = NULL;
        }
        if (kept == NULL) {
            break;
        }
        table->used--;
        /* entering must find it: it is the only entry that is looked for now */
        table->last = kept;
        take_down_own(kept);
        if (table->last == kept) {
            table->last = NULL;
        }
    }
    stoa__waiter_unref(table->waiter);
    free(table->slots);
    free(table);
    table_here = NULL;
}

typedef struct target {
    unsigned long thread;
    stoa_waiter *waiter; /* a reference */
} target;

/* The threads that are inside. *out: malloc'ed; as many as there was memory for. */
static size_t
list_targets(stoa_interp_record *record, target **out)
{
    size_t count = 0, room = 0;
    *out = NULL;
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    for (stoa_kept *kept = member == NULL ? NULL : member->kept; kept != NULL; kept = kept->next) {
        if (kept->depth == 0 || kept->state == NULL || in_use_here(kept->state)) {
            continue;
        }
        if (count == room) {
            room = room == 0 ? 16 : room * 2;
            target *more = realloc(*out, room * sizeof(*more));
            if (more == NULL) {
                break;
            }
            *out = more;
        }
        (*out)[count++] = (target){kept->state->thread_id, stoa__waiter_ref(kept->waiter)};
    }
    stoa__unlock(&record->lock);
    return count;
}

int
stoa__thread_states_interrupt(stoa_interp_record *record, PyObject *exception)
{
    target *targets;
    size_t count = list_targets(record, &targets);
    int raised = 0;
    for (size_t i = 0; i < count; i++) {
        if (PyThreadState_SetAsyncExc(targets[i].thread, exception) > 0) {
            raised++;
            stoa__waiter_interrupt(targets[i].waiter); /* it may be waiting */
        }
        stoa__waiter_unref(targets[i].waiter);
    }
    free(targets);
    return raised;
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

bool
stoa__thread_states_after_fork(stoa_interp_record *record, uint32_t *own)
{
    thread_table *table = table_here;
    PyThreadState *current = stoa__current_state();
    stoa_member *member = record->cookie;
    stoa_kept *kept = table == NULL ? NULL : find_kept(table, record->serial);
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
