/* The write guard: what happens when somebody writes to a shared object.
 *
 * The public view is read-only, so such a write is a SIGSEGV inside the range. Writes to a refcount field (extensions
 * whose Py_INCREF was compiled from headers older than 3.12) are harmless within a margin of a billion: the guard opens
 * that one page (the same memfd page, so the alias stays coherent; below fork_floor: a private copy), counts it, warns
 * once, and the instruction goes on. Any other write ends the process with a message naming the object, its type, the
 * interpreter and both stacks, then by SIGSEGV at the very instruction (debuggers and core dumps see it as it was).
 * Reads that the range does not answer end it the same way.
 *
 * Faults elsewhere go to the handler that was there before, with the semantics it was installed with (SA_SIGINFO,
 * SA_RESETHAND, SA_NODEFER, its mask, SIG_DFL, SIG_IGN). Who installs a handler after us sees faults first, and comes
 * before us until stoa__guard_install (each import of stoa) or stoa__guard_refresh (each batch) comes by: then we step in
 * front of it, and it is the one before. Handlers that call the one before *them*, like faulthandler's, then come back
 * to us: so we keep them in a stack and go one down each time a thread comes back; or when the fault comes back, since
 * a handler that was turned off, as faulthandler's can be, does nothing when it is called.
 *
 * Runs on an alternate stack where the thread has one (heap/signal_stack.h), async-signal-safe throughout: no locks, no
 * malloc, no TLS of ours. A page that is opened stays open.
 */
#ifndef STOA_HEAP_GUARD_H
#define STOA_HEAP_GUARD_H

#include "heap/lock.h"
#include "stoa/error.h"

#include <signal.h>

typedef enum stoa_guard_mode { STOA_GUARD_OFF, STOA_GUARD_TOLERATE, STOA_GUARD_STRICT } stoa_guard_mode;

/* What the layer above knows about an address; all async-signal-safe: reads memory, formats into buffer, no locks.
 * A process may have several (one a domain): each answers for what it knows, and says no, 0 or nothing else. */
typedef struct stoa_guard_describer {
    /* Is this the address of a refcount field of a shared object (a write of 4 or 8 bytes at it)? */
    bool (*is_refcount)(const void *address);
    /* Text like "str 'abc…' at 0x…, offset 24 (hash)" for the object that contains the address. Returns its length. */
    size_t (*describe)(const void *address, char *buffer, size_t size);
    /* Text that names the interpreter of the calling thread, and its Python stack, written to fd. */
    void (*write_python_stack)(int fd);
} stoa_guard_describer;

#define STOA_GUARD_DESCRIBERS 16u /* the C library's limit of namespaces */
#define STOA_GUARD_CHAIN 8u
#define STOA_GUARD_THREADS 64u
#define STOA_GUARD_REPEATS 16u

typedef struct stoa_guard { /* read by the handler, so: atomics, and parts that are const once a count covers them */
    stoa_lock lock;         /* STOA_RANK_MESSAGE: installing */
    _Atomic uint32_t mode;            /* stoa_guard_mode */
    _Atomic uint32_t mode_was_set;    /* STOA_GUARD was read, or set_mode called */
    _Atomic uint32_t wanted;          /* guard_install was called: a mode other than off needs the handlers */
    _Atomic uint32_t describer_count; /* release: describers[0 .. count) are const */
    stoa_guard_describer describers[STOA_GUARD_DESCRIBERS];
    struct {                    /* [0] SIGSEGV, [1] SIGBUS */
        _Atomic uint32_t count; /* release: previous[0 .. count) are const; 0: not installed */
        struct sigaction previous[STOA_GUARD_CHAIN];
        _Atomic uint32_t spent; /* bit i: previous[i] had SA_RESETHAND and was called */
    } chain[2];
    void (*handler)(int, siginfo_t *, void *); /* const after the first install: that of the copy that did it */
    uintptr_t page_size;                       /* const after init */
    _Atomic int64_t next_look;                 /* stoa__guard_refresh does nothing before that time */
    _Atomic uint32_t warned;
    _Atomic uint32_t reporting;  /* id of the thread that writes the last message */
    struct {                     /* threads that are in the handler now */
        _Atomic uint32_t thread; /* 0: free; else the rest belongs to that thread */
        _Atomic uint32_t depth;  /* how often it is in it */
        _Atomic uintptr_t frame; /* where the outermost of them has its frame */
    } inside[STOA_GUARD_THREADS];
    struct { /* faults elsewhere that come again and again, by thread id modulo their number */
        _Atomic uint32_t thread;
        _Atomic uint32_t count;
        _Atomic uintptr_t pc, address;
        _Atomic int64_t since; /* when this one came first */
    } repeats[STOA_GUARD_REPEATS];
} stoa_guard;

void stoa__guard_init(stoa_guard *guard);
void stoa__guard_fork_child(stoa_guard *guard);

/* Installs the handlers (mode from STOA_GUARD=strict|tolerate|off, default tolerate; STOA_EINVAL for another word) and
 * adds `describer` (copied; NULL: none) to those that are asked. Called again: steps in front of handlers that came
 * after. Does for the calling thread what stoa__guard_thread does. STOA_EOS, STOA_ENOMEM (too many describers). */
stoa_err stoa__guard_install(const stoa_guard_describer *describer);
/* Steps in front of handlers that came after, as stoa__guard_install does, but looks at most ten times a second: a few
 * nanoseconds else. Called by each batch (heap/batch.h). */
void stoa__guard_refresh(void);
/* STOA_EOS when the handlers were not there and cannot be installed. */
stoa_err stoa__guard_set_mode(stoa_guard_mode mode);
stoa_guard_mode stoa__guard_get_mode(void);
/* Openings of pages for refcount writes; further writes to an open page are not seen. */
uint64_t stoa__guard_tolerated(void);
/* Gives the calling thread an alternate signal stack: stoa__signal_stack. */
void stoa__guard_thread(void);

#endif
