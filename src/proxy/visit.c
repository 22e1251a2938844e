#include "proxy/visit.h"

#include <sched.h>

#include "heap/memory.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "heap/waiter.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/wait.h"

/* Looked at before anybody is disturbed: most visits of others are shorter. */
#define GLANCE_NS INT64_C(1000)
/* How long the visitor looks on before it sleeps on the GIL. */
#define PATIENCE_NS INT64_C(20000)
/* How long the owner holds the door for one who has not come in, and waits for one who has. */
#define DOOR_NS INT64_C(100000)
#define STAY_NS INT64_C(20000)
#define YIELD_NS INT64_C(10000)
/* Calls that a running thread does at one bytecode boundary. */
#define AT_ONCE 64
/* A thread that is this close to its recursion limit does nothing for others. */
#define RECURSION_LEFT 100

enum { KNOCKING, OPEN, INSIDE, GONE };

typedef struct stoa_knock {
    stoa_posted call;
    _Atomic uint32_t stage;
} stoa_knock;

static inline void
relax(int64_t waited)
{
    if (waited > YIELD_NS) {
        (void)sched_yield(); /* whom we wait for may have no processor but this one */
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* ---- the owner's running thread ---------------------------------------------------------------------------------- */

/* GIL. */
static void
hold_door(stoa_posted *call)
{
    stoa_knock *knock = (stoa_knock *)call;
    uint32_t stage = KNOCKING;
    if (!atomic_compare_exchange_strong(&knock->stage, &stage, OPEN) && stage == GONE) {
        return;
    }
    PyThreadState *state = PyEval_SaveThread();
    int64_t begin = stoa__now(), inside_since = 0;
    for (;;) {
        int64_t now = stoa__now();
        stage = atomic_load(&knock->stage);
        if (stage == INSIDE && inside_since == 0) {
            inside_since = now;
        }
        if (stage == GONE || (stage == INSIDE && now - inside_since > STAY_NS) ||
            (stage == OPEN && now - begin > DOOR_NS)) {
            break;
        }
        relax(now - begin);
    }
    PyEval_RestoreThread(state);
}

/* On the stack of a thread that runs calls for an interpreter at a bytecode boundary. */
typedef struct coming {
    const stoa_interp_record *record;
    struct coming *below;
} coming;

static _Thread_local coming *coming_here;

static bool
comes_already(const stoa_interp_record *record)
{
    const coming *c = coming_here;
    while (c != NULL && c->record != record) {
        c = c->below;
    }
    return c != NULL;
}

static void
run_calls(stoa_waiter *self, stoa_interp_record *record, PyInterpreterState *interp)
{
    stoa_posted *call;
    if (stoa__mailbox_count(&self->home) > 0) {
        stoa__pending_calls_go_on(interp);
        stoa__serve_home(self);
    }
    for (int i = 0; i < AT_ONCE && (call = stoa__mailbox_take(&record->mailbox)) != NULL; i++) {
        if (call->run != hold_door) {
            stoa__pending_calls_go_on(interp);
        }
        stoa__waiter_runs(self, call);
        call->run(call);
        stoa__waiter_ran(call);
        stoa__call_done(call);
    }
}

/* The pending call. GIL of the interpreter; also while it is being ended. What it runs may be long, or wait for other threads of
 * the interpreter: those come by meanwhile. This one does not come a second time: whoever it runs calls for is not to meet
 * others in the midst. */
static int
come_by(void *arg)
{
    stoa_interp_record *record = arg;
    PyThreadState *state = PyThreadState_Get();
    stoa_member *member = record->cookie;
    if (member == NULL || member->interp != state->interp) {
        return 0;
    }
    stoa_waiter *self = stoa__waiter_here();
    stoa__mailbox_arrive(&record->mailbox);
    if (self == NULL || state->py_recursion_remaining < RECURSION_LEFT || comes_already(record)) {
        return 0; /* the senders do it themselves, or ask again */
    }
    coming mine = {record, coming_here};
    coming_here = &mine;
    run_calls(self, record, state->interp);
    coming_here = mine.below;
    return 0;
}

void
stoa__summon(stoa_interp_record *record)
{
    if (!stoa__pending_call(stoa__member(record)->interp, come_by, record)) {
        stoa__mailbox_arrive(&record->mailbox); /* the queue is full: who posts next tries again */
    }
}

void
stoa__summon_once(stoa_interp_record *record)
{
    if (atomic_exchange(&record->mailbox.summoned, 1) == 0) {
        stoa__summon(record);
    }
}

stoa_err
stoa__post_to_running(stoa_interp_record *record, stoa_posted *call)
{
    bool summon;
    stoa_err err = stoa__mailbox_post(&record->mailbox, call, &summon);
    if (err == STOA_OK && summon) {
        stoa__summon(record);
    }
    return err;
}

/* ---- the visitor ------------------------------------------------------------------------------------------------- */

static void
free_knock(stoa_posted *call)
{
    stoa__free(call);
}

static bool
becomes_free(const int *gil, const _Atomic uint32_t *stage, int64_t nanoseconds)
{
    int64_t begin = stoa__now(), waited = 0;
    do {
        for (int i = 0; i < 16; i++) {
            if ((stage != NULL && atomic_load(stage) != KNOCKING) || !stoa__gil_is_held(gil)) {
                return true;
            }
            relax(waited);
        }
        waited = stoa__now() - begin;
    } while (waited < nanoseconds);
    return false;
}

void
stoa__knock(stoa_interp_record *record, stoa_visit *visit)
{
    stoa_member *member = stoa__member(record);
    PyThreadState *state = stoa__current_state();
    if ((state != NULL && stoa__gil_word(state->interp) == member->gil) || /* we hold it */
        becomes_free(member->gil, NULL, GLANCE_NS)) {
        return;
    }
    stoa_knock *knock = stoa__alloc(sizeof(*knock));
    if (knock == NULL) {
        return; /* it works without */
    }
    stoa__call_init(&knock->call, NULL, hold_door, free_knock);
    atomic_init(&knock->stage, KNOCKING);
    if (stoa__post_to_running(record, &knock->call) != STOA_OK) {
        stoa__call_unref(&knock->call);
        return;
    }
    visit->knock = knock;
    (void)becomes_free(member->gil, &knock->stage, PATIENCE_NS);
}

void
stoa__knock_inside(stoa_visit *visit, bool inside)
{
    uint32_t before = atomic_exchange(&visit->knock->stage, inside ? INSIDE : GONE);
    if (before == KNOCKING) {
        (void)stoa__call_withdraw(&visit->knock->call);
    }
    else {
        STOA_COUNT(&stoa__process->counters, calls_let_in);
    }
    if (!inside || before == KNOCKING) {
        atomic_store(&visit->knock->stage, GONE);
        stoa__call_unref(&visit->knock->call);
        visit->knock = NULL;
    }
}

void
stoa__knock_gone(stoa_visit *visit)
{
    atomic_store(&visit->knock->stage, GONE);
    stoa__call_unref(&visit->knock->call);
}
