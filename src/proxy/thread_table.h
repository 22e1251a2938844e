/* The tables behind thread_state.h: what a thread keeps, and what an interpreter's list of it is. Private to thread_state*.c, and
 * to those who raise exceptions in threads (stop.c, interrupt.c), or stand in for them (call.c). */
#ifndef STOA_PROXY_THREAD_TABLE_H
#define STOA_PROXY_THREAD_TABLE_H

#include "heap/waiter.h"
#include "proxy/thread_state.h"
#include "proxy/ticker.h"

/* A thread state made by us. Its memory belongs to the thread's table, or to the list once the thread is gone. */
struct stoa_kept {
    PyThreadState *state;          /* see invariants 1 and 2; NULL: taken down */
    stoa_interp_record *record;    /* const: a reference is held */
    struct stoa_kept *prev, *next; /* guarded by the record's lock: the member's list */
    stoa_waiter *waiter;           /* const: its thread's; a reference */
    uint32_t depth;                /* how often it is entered. Its thread's; others read it under the GIL */
    uint32_t shadow; /* the same, before the innermost work of others began: proxy/interrupt.h */
    bool orphan;     /* guarded by the record's lock: its thread is gone, who takes it down frees it */
};

/* All of a thread; touched by that thread only. */
typedef struct stoa_thread_table {
    stoa_kept **slots; /* open addressing by serial; capacity a power of two */
    size_t capacity, used;
    stoa_kept *last;     /* found last */
    stoa_entry *top;     /* the innermost entry */
    uintptr_t stack_low; /* lowest address of this thread's stack; 0: unknown */
    stoa_waiter *waiter; /* a reference: others see there what this thread is inside */
    bool runs_signal_handlers;
    const struct stoa_work *in_stead; /* served work that it does for another thread: proxy/stead.h; NULL: none */
} stoa_thread_table;

extern _Thread_local stoa_thread_table *stoa__thread_table_here; /* NULL: not made yet */

/* NULL: no memory. */
stoa_thread_table *stoa__thread_table_make(void);
/* The thread ends: takes down what it has kept. `arg`: its table. */
void stoa__thread_table_end(void *arg);

static inline stoa_thread_table *
stoa__thread_table_get(void)
{
    stoa_thread_table *table = stoa__thread_table_here;
    return table != NULL ? table : stoa__thread_table_make();
}

/* For others to see; and whoever runs signal handlers is watched while it is inside another interpreter. */
static inline void
stoa__thread_stays_in(stoa_thread_table *table, stoa_interp_record *record)
{
    atomic_store_explicit(&table->waiter->innermost, record, memory_order_relaxed);
    if (table->runs_signal_handlers && record != NULL) {
        stoa__ticker_watches(table->waiter);
    }
}

static inline stoa_kept **
stoa__kept_slot(stoa_kept **slots, size_t capacity, uint32_t serial)
{
    for (size_t i = serial * 0x9E3779B1u;; i++) {
        stoa_kept **slot = &slots[i & (capacity - 1)];
        if (*slot == NULL || (*slot)->record->serial == serial) {
            return slot;
        }
    }
}

static inline stoa_kept *
stoa__kept_find(stoa_thread_table *table, uint32_t serial)
{
    stoa_kept *kept = table->last;
    if (kept != NULL && kept->record->serial == serial) {
        return kept;
    }
    if (table->capacity == 0) {
        return NULL;
    }
    kept = *stoa__kept_slot(table->slots, table->capacity, serial);
    if (kept != NULL) {
        table->last = kept;
    }
    return kept;
}

void stoa__kept_free(stoa_kept *kept);
/* Room for one more; entries of interpreters that are gone are dropped on the way. false: no memory. */
bool stoa__kept_reserve(stoa_thread_table *table);
/* Puts it, with its state, into its interpreter's list. */
void stoa__kept_link(stoa_kept *kept, PyThreadState *state);
/* Record's lock held. Returns the state, which nobody else will touch from now on. */
PyThreadState *stoa__kept_unlink(stoa_member *member, stoa_kept *kept);
/* Is it current, or what an entry of this thread goes back to? */
bool stoa__thread_uses(const PyThreadState *state);

#endif
