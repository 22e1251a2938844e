/* Entering an interpreter that may be busy.
 *
 * A thread that wants the GIL of an interpreter whose thread is running Python sleeps, and asks for it after 5 ms. So a
 * visitor who finds the GIL held knocks: a note in the owner's mailbox, and a pending call that makes the running thread
 * come to the door at its next bytecode boundary, open it (give up its GIL), and wait a moment for the visitor to
 * come out again. The visitor looks on without sleeping for some microseconds, so that both hand the GIL over and
 * back without a system call. The visitor runs the call himself, on his own thread and thread state: unlike a call that the
 * running thread does (proxy/call.h), it cannot meet a lock that this very thread holds.
 *
 * When nobody comes (the owner is in a long C call), the visitor waits for the GIL as anybody does, its note left in the
 * mailbox; when the visitor does not come out in time, the owner goes on as any thread that wants its GIL back.
 */
#ifndef STOA_PROXY_VISIT_H
#define STOA_PROXY_VISIT_H

#include "immortal/cpython/eval.h"
#include "proxy/thread_state.h"

struct stoa_knock;

typedef struct stoa_visit { /* on the caller's stack */
    stoa_entry entry;
    struct stoa_knock *knock; /* a reference, or NULL: nobody was in the way */
} stoa_visit;

/* private to the inlines below */
void stoa__knock(stoa_interp_record *record, stoa_visit *visit);
void stoa__knock_inside(stoa_visit *visit, bool inside);
void stoa__knock_gone(stoa_visit *visit);

/* As stoa__enter_held: the caller has `inside` already, which the end of the visit or a failure gives up. */
static inline stoa_err
stoa__visit_held(stoa_interp_record *record, stoa_visit *visit)
{
    visit->knock = NULL;
    if (stoa__gil_is_held(stoa__member(record)->gil)) {
        stoa__knock(record, visit);
    }
    stoa_err err = stoa__enter_held(record, &visit->entry);
    if (visit->knock != NULL) {
        stoa__knock_inside(visit, err == STOA_OK);
    }
    return err;
}

/* As stoa__enter and stoa__leave. The caller has a GIL, or none. */
static inline stoa_err
stoa__visit(stoa_interp_record *record, stoa_visit *visit)
{
    stoa_err err = stoa__interp_enter(record);
    return err != STOA_OK ? err : stoa__visit_held(record, visit);
}

static inline void
stoa__visit_end(stoa_visit *visit)
{
    stoa__leave(&visit->entry);
    if (visit->knock != NULL) {
        stoa__knock_gone(visit);
    }
}

/* Posts a call for whichever thread runs Python in the interpreter, and makes it come by. `inside` is held, or something
 * else that keeps the interpreter. STOA_EGONE. */
stoa_err stoa__post_to_running(stoa_interp_record *record, stoa_posted *call);
/* Makes whichever thread runs Python in there come by, though it was asked before. `inside` is held. */
void stoa__summon(stoa_interp_record *record);
/* The same, unless one was asked and has not come by yet. */
void stoa__summon_once(stoa_interp_record *record);
/* Has one been asked to come by who has not yet? */
static inline bool
stoa__is_summoned(const stoa_interp_record *record)
{
    return atomic_load(&record->mailbox.summoned) != 0;
}

#endif
