/* Records of the interpreters that take part, process-wide.
 *
 * CPython's interpreter pointers die with the interpreter and its ids are per runtime. So each interpreter gets a
 * `serial`, never used twice in the process, and a record that outlives it. The heap layer knows no PyInterpreterState:
 * `cookie` is for the host layer.
 *
 * Life: LIVE -> CLOSING (new entries refused; those inside go on) -> GONE. `inside` counts threads that the library has
 * put into the interpreter; closing waits for it to become 0 (or the closer's own entries).
 *
 * Invariants
 *  1. top bit of `inside` set  <=>  state != LIVE (both change under `lock`). So entering is one atomic addition, which
 *     tells at once whether it was allowed, and the last leaver learns from its own subtraction that somebody waits: it
 *     touches the record no more after it, and the closer may free it.
 *     While others are still inside, more may come whose business is with those (stoa__interp_enter_occupied), until the closer
 *     seals it: when only his own entries are left, in one step. SEALED is never set while LIVE.
 *  2. refs == 0  =>  state == GONE, the record is in no list and nobody but lock-free readers of handles looks at it.
 *  3. The memory of a record is only ever reused for another record: see heap/handle.h for who relies on it.
 */
#ifndef STOA_HEAP_INTERP_TABLE_H
#define STOA_HEAP_INTERP_TABLE_H

#include "heap/lock.h"
#include "heap/mailbox.h"
#include "heap/serials.h"
#include "stoa/error.h"

#define STOA_INTERP_LIVE 1u
#define STOA_INTERP_CLOSING 2u
#define STOA_INTERP_GONE 3u

#define STOA_INTERP_NOT_LIVE 0x80000000u  /* in `inside` */
#define STOA_INTERP_SEALED 0x40000000u    /* the same */
#define STOA_INTERP_ABANDONED 0x20000000u /* the same: it is never ended */
#define STOA_INTERP_FLAGS (STOA_INTERP_NOT_LIVE | STOA_INTERP_SEALED | STOA_INTERP_ABANDONED)

typedef struct stoa_interp_record {
    uint32_t serial;   /* const, >= 1 */
    uint32_t domain;   /* const, 0 = primary */
    int64_t python_id; /* const: PyInterpreterState_GetID in its domain */
    char name[64];     /* const after registration */
    bool left_behind;  /* this process was forked by a thread of another: it lives on in the parent only */
    _Atomic uint32_t state; /* STOA_INTERP_*; changed under `lock`, read anywhere */
    _Atomic uint32_t inside; /* threads put into it by the library, and STOA_INTERP_NOT_LIVE; futex of the closer */
    _Atomic uint32_t refs;     /* who holds the record; the table itself holds one until GONE */
    _Atomic uint32_t released; /* head of the list of handles that await release: heap/handle.c */
    _Atomic uint32_t released_rest; /* written under `lock`: those taken off the list and not handed out yet: heap/handle.c */
    _Atomic uint32_t errand;  /* is somebody there, or on the way, to apply them? proxy/reaper.c */
    _Atomic uint32_t at_home; /* calls posted to threads of it that those have not begun: proxy/home_post.c */
    _Atomic uint32_t reminded; /* 1: somebody is at it. The same */
    stoa_lock lock;            /* STOA_RANK_INTERP: guards the host layer's lists behind `cookie` */
    stoa_mailbox mailbox; /* for whichever thread runs Python in it; closed while not LIVE: proxy/call.h */
    void *cookie;         /* guarded by `lock`: the host layer's struct, NULL when GONE */
    void *bells;          /* guarded by `lock`: of its event loops, a list: sync/bell.h */
    struct stoa_interp_record *next_free; /* guarded by the table's lock */
    struct stoa_interp_record *next;      /* const: in all_records */
} stoa_interp_record;

/* In a forked child, on its only thread, with no lock held: does `record` go on here? `*own` gets how often this thread
 * is inside. For one that does not, the hook gives up what the cookie holds. */
typedef bool (*stoa_interp_fork_hook)(stoa_interp_record *record, uint32_t *own);

/* One that is GONE for us, while the runtime may still be taking it down. */
typedef struct stoa_leaving {
    uint32_t serial, domain;
    int64_t python_id;
} stoa_leaving;

typedef struct stoa_interps {
    stoa_lock lock; /* STOA_RANK_INTERPS; guards all below */
    uint32_t last_serial;
    size_t count, capacity;
    stoa_interp_record **records; /* not GONE, ascending serial */
    stoa_interp_record *free_records;
    stoa_interp_record *all_records; /* whatever their state: the memory of a record is never given back */
    stoa_interp_fork_hook fork_hook;
    stoa_leaving *leaving;
    size_t leaving_room;
    _Atomic size_t leaving_count; /* changed under `lock` */
    stoa_serials ended;           /* no lock: whose memory nobody reads any more */
} stoa_interps;

void stoa__interps_init(stoa_interps *interps);
/* Fork: prepare takes the table's and every record's lock. child: records that the hook does not keep become GONE (no
 * hook: all). prepare, parent and child_locks at their place in rank order; child_records when all locks are free. */
void stoa__interps_fork_prepare(stoa_interps *interps);
void stoa__interps_fork_parent(stoa_interps *interps);
void stoa__interps_fork_child_locks(stoa_interps *interps);
void stoa__interps_fork_child_records(stoa_interps *interps);
void stoa__interps_set_fork_hook(stoa_interp_fork_hook hook);

/* A LIVE record, with one reference for the caller beside the table's. `name` NULL: "interpreter <id>"; cut to fit.
 * `cookie` is there before anybody finds the record.
 * STOA_ENOMEM; STOA_EEXIST when one that is not GONE has this id and domain. */
stoa_err stoa__interp_register(int64_t python_id, uint32_t domain, const char *name, void *cookie,
                               stoa_interp_record **out);
stoa_interp_record *stoa__interp_ref(stoa_interp_record *record);
void stoa__interp_unref(stoa_interp_record *record);
/* New reference, or NULL. */
stoa_interp_record *stoa__interp_find(uint32_t serial);
stoa_interp_record *stoa__interp_find_python(int64_t python_id, uint32_t domain);
/* inside += 1, unless not LIVE: STOA_EGONE with a message that names the interpreter. The caller holds a reference from
 * before the call until after it. */
stoa_err stoa__interp_enter(stoa_interp_record *record);
/* What stoa__interp_enter says of one that is not LIVE: STOA_EGONE. The caller holds a reference. */
stoa_err stoa__interp_refuse(const stoa_interp_record *record);
/* The same as enter, and also while it is CLOSING, if somebody is inside: for what those who are still inside need to be told.
 * STOA_EGONE without a message. A caller without a reference looks afterwards whether the record is still the one he means. */
stoa_err stoa__interp_enter_occupied(stoa_interp_record *record);
/* After it the record may be gone, unless the caller holds a reference. Who waits on it as a topic (heap/waiter.h) is woken,
 * when it is being closed. */
void stoa__interp_leave(stoa_interp_record *record);
uint32_t stoa__interp_inside(const stoa_interp_record *record); /* threads put into it by the library */
/* LIVE -> CLOSING; false when somebody else is closing or has closed it. Who waits for a name on behalf of the
 * interpreter is woken and gets STOA_EGONE. */
bool stoa__interp_start_close(stoa_interp_record *record);
/* The closer: true when nobody is inside, and from then on nobody can be. */
bool stoa__interp_seal(stoa_interp_record *record);
/* Nobody comes in any more, though some will stay inside for ever. CLOSING, for good: also for a closer that waits meanwhile,
 * for whom it never becomes empty. */
void stoa__interp_abandon(stoa_interp_record *record);
/* CLOSING: waits until `inside` is at most `own` (the closer's own entries), and seals it. STOA_ETIMEDOUT, STOA_EINTERRUPTED. */
stoa_err stoa__interp_wait_empty(stoa_interp_record *record, uint32_t own, stoa_deadline deadline);
/* CLOSING -> LIVE again after a close that gave up. This and stoa__interp_gone wake whoever waits on the record as a topic. */
void stoa__interp_reopen(stoa_interp_record *record);
/* -> GONE; its handles are stale from now on, what it was making for `once` is given up, the table gives up its
 * reference. Idempotent. The host layer has taken `cookie` off before. */
void stoa__interp_gone(stoa_interp_record *record);
/* The runtime has taken it down: no code runs in it, nothing of it is looked at any more. What only it could have used goes
 * (heap/region.h). Idempotent. No lock of ours held, no GIL needed. */
void stoa__interp_ended(uint32_t serial);
/* Those that are GONE and have not ended, at most `room`: how many. One load where there are none. */
size_t stoa__interps_leaving(stoa_leaving *out, size_t room);
/* Calls visit for every record that is not GONE (references held during the call, no lock held), oldest first.
 * STOA_ENOMEM. */
stoa_err stoa__interp_each(void (*visit)(stoa_interp_record *, void *), void *arg);

#endif
