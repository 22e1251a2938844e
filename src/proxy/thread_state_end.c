/* Taking thread states down, and interrupting those who are in them. */
#include <stdlib.h>

#include "heap/counters.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "immortal/cpython/gilstate.h"
#include "immortal/cpython/raised.h"
#include "proxy/errand.h"
#include "proxy/interrupt.h"
#include "proxy/thread_table.h"

void
stoa__thread_states_take_down(stoa_interp_record *record, bool orphans_only)
{
    for (;;) {
        stoa__lock(&record->lock);
        stoa_member *member = record->cookie;
        stoa_kept *kept = member->kept;
        while (kept != NULL && ((orphans_only && !kept->orphan) || stoa__thread_uses(kept->state))) {
            kept = kept->next;
        }
        if (kept == NULL) {
            stoa__unlock(&record->lock);
            return;
        }
        PyThreadState *state = stoa__kept_unlink(member, kept);
        bool orphan = kept->orphan;
        stoa__unlock(&record->lock);
        /* its thread may end from here on and free `kept` unless that is left to us */
        if (orphan) {
            stoa__kept_free(kept);
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
            stoa__kept_free(kept);
        }
        return;
    }
    PyThreadState *state = kept->state;
    if (state == NULL || entry.entered != state) { /* taken down before, or Python's own state was entered */
        if (state != NULL) {
            stoa__lock(&record->lock);
            (void)stoa__kept_unlink(record->cookie, kept);
            stoa__unlock(&record->lock);
            PyThreadState_Clear(state);
            PyThreadState_Delete(state);
            STOA_COUNT(&stoa__process->counters, thread_states_ended);
        }
        stoa__leave(&entry);
        stoa__kept_free(kept);
        return;
    }
    PyThreadState_Clear(state); /* may run Python code, which may enter and leave, and be interrupted */
    stoa__lock(&record->lock);
    (void)stoa__kept_unlink(record->cookie, kept);
    stoa__unlock(&record->lock);
    stoa__thread_table_here->top = entry.below;
    stoa__interrupts_recall(kept->waiter);
    stoa__interrupts_forget_left(kept->waiter);
    stoa__thread_stays_in(stoa__thread_table_here, entry.below == NULL ? NULL : entry.below->record);
    PyThreadState_DeleteCurrent();
    stoa__gilstate_set(entry.remembered);
    STOA_COUNT(&stoa__process->counters, thread_states_ended);
    stoa__interp_leave(record);
    stoa__kept_free(kept);
}

void
stoa__thread_table_end(void *arg)
{
    stoa_thread_table *table = arg;
    if (table != stoa__thread_table_here) { /* a forked child dropped it */
        return;
    }
    stoa__waiter_end_waits(table->waiter); /* before anything is called, which would write over them */
    for (;;) {                             /* code that runs meanwhile may enter further interpreters */
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
        (void)stoa__errand_is(table->waiter, kept->record);
        take_down_own(kept);
        (void)stoa__errand_is(table->waiter, NULL);
        if (table->last == kept) {
            table->last = NULL;
        }
    }
    stoa__waiter_unref(table->waiter);
    free(table->slots);
    free(table);
    stoa__thread_table_here = NULL;
}

/* ---- interrupting ------------------------------------------------------------------------------------------------ */

typedef struct target {
    unsigned long thread;
    stoa_waiter *waiter; /* a reference */
    const stoa_kept *kept;
} target;

/* Is there something in it to be interrupted? On an errand that is Python code of finalizers and callbacks only. GIL. */
static bool
is_at_work(stoa_kept *kept)
{
    return kept->depth > 0 && kept->state != NULL && !stoa__thread_uses(kept->state) &&
           (atomic_load(&kept->waiter->errand) != kept->record ||
            (!atomic_load(&kept->waiter->shielded) && stoa__runs_python(kept->state)));
}

/* The threads that are inside. *out: malloc'ed; as many as there was memory for. */
static size_t
list_targets(stoa_interp_record *record, target **out)
{
    size_t count = 0, room = 0;
    *out = NULL;
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    for (stoa_kept *kept = member == NULL ? NULL : member->kept; kept != NULL; kept = kept->next) {
        if (!is_at_work(kept)) {
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
        (*out)[count++] = (target){kept->state->thread_id, stoa__waiter_ref(kept->waiter), kept};
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
        raised += stoa__interrupt_thread(targets[i].waiter, targets[i].thread, record, targets[i].kept,
                                         exception);
        stoa__waiter_unref(targets[i].waiter);
    }
    free(targets);
    return raised;
}
