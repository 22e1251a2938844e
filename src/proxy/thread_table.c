#include "proxy/thread_table.h"

#include <pthread.h>
#include <stdlib.h>

#include "heap/guard.h"
#include "heap/thread_end.h"
#include "immortal/cpython/eval.h"
#include "immortal/cpython/gilstate.h"

_Thread_local stoa_thread_table *stoa__thread_table_here;

/* ---- a thread's table -------------------------------------------------------------------------------------------- */

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

stoa_thread_table *
stoa__thread_table_make(void)
{
    stoa_waiter *waiter = stoa__waiter_here();
    stoa_thread_table *table = waiter == NULL ? NULL : calloc(1, sizeof(*table));
    if (table != NULL) {
        table->waiter = stoa__waiter_ref(waiter);
        table->runs_signal_handlers = stoa__is_signal_thread();
        table->stack_low = find_stack_low();
        stoa__thread_table_here = table;
        stoa__at_thread_end(stoa__thread_table_end, table);
        stoa__guard_thread();
    }
    return table;
}

void
stoa__kept_free(stoa_kept *kept)
{
    stoa__interp_unref(kept->record);
    stoa__waiter_unref(kept->waiter);
    free(kept);
}

bool
stoa__kept_reserve(stoa_thread_table *table)
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
            stoa__kept_free(kept);
            continue;
        }
        *stoa__kept_slot(slots, capacity, kept->record->serial) = kept;
        table->used++;
    }
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    return true;
}

/* ---- the member's list ------------------------------------------------------------------------------------------- */

void
stoa__kept_link(stoa_kept *kept, PyThreadState *state)
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

PyThreadState *
stoa__kept_unlink(stoa_member *member, stoa_kept *kept)
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

bool
stoa__thread_uses(const PyThreadState *state)
{
    if (state == stoa__current_state()) {
        return true;
    }
    for (stoa_entry *entry = stoa__thread_table_here == NULL ? NULL : stoa__thread_table_here->top;
         entry != NULL; entry = entry->below) {
        if (entry->previous == state || entry->entered == state) {
            return true;
        }
    }
    return false;
}
