/* What home.c (the thread, and those who speak to it) and home_make.c (the interpreter on it) share. */
#ifndef STOA_HOST_HOME_STRUCT_H
#define STOA_HOST_HOME_STRUCT_H

#include "heap/waiter.h"
#include "host/home.h"

/* How far the job under way is. */
typedef enum stoa_job_stage {
    STOA_JOB_NONE,
    STOA_JOB_TELLS, /* the caller, in his interpreter, that the call begins: an interrupt waits */
    STOA_JOB_READS, /* what is called, and arguments: an interrupt is raised, and waits in case that it is swallowed */
    STOA_JOB_CALLS
} stoa_job_stage;

struct stoa_home {
    _Atomic uint32_t refs;  /* the member, the thread, whoever waits */
    _Atomic uint32_t phase; /* STOA_HOME_*; futex of those who wait for the thread */
    stoa_waiter *waiter; /* the thread's: a reference; const from RUNNING on. News with each job and phase */
    stoa_lock lock;      /* guards the queue, and changes of phase by others */
    stoa_job *first, *last;
    stoa_job *stoppable;          /* the job under way, if it has `stop`; guarded by `lock` */
    stoa_interp_record *record;   /* reference; set by the thread that makes it, const from RUNNING on */
    PyThreadState *initial;       /* const from RUNNING on; NULL: somebody else's interpreter */
    unsigned long thread_id;      /* as Python counts; const from RUNNING on */
    _Atomic stoa_job_stage stage; /* written by the thread */
    /* An interrupt that came before the call began: a class that all interpreters have, or NULL. Put there and taken out under
     * the GIL of the interpreter; what comes too late for one job is dropped where the next one starts. */
    _Atomic(PyObject *) early;
    const char *name; /* STARTING only, as the three below: the maker waits */
    bool shared_gil;
    const stoa_parcel *path;
    stoa_err err;
    char message[400];
};

void stoa__home_unref(stoa_home *home);

/* On the home thread, with no GIL. Makes the interpreter and its record; else the reason is in err and message. */
stoa_err stoa__home_make_here(stoa_home *home);
/* The same thread, nobody inside: takes the interpreter down, ends it; its record is GONE then. Gives up the member's
 * reference of the home. */
void stoa__home_end_here(stoa_home *home);
/* This thread's message becomes the home's. */
void stoa__home_keep_message(stoa_home *home, stoa_err err);

#endif
