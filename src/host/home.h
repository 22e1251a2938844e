/* The home thread of an interpreter: its own ordinary thread.
 *
 * An interpreter that Stoa makes is made, kept and ended by one thread, because CPython 3.12 wants an interpreter ended where
 * it was made, and because the thread that Py_EndInterpreter runs on must have nothing else on its stack. The same thread
 * does what is submitted, one job after the other; for the interpreter's own `threading` it is the main thread. An
 * interpreter that somebody else made gets a home thread on the first submit, for jobs only.
 *
 * Phases: RUNNING (jobs are done) -> STOPPING (the job under way finishes, the others are refused) -> STOPPED ->
 * RUNNING again, or ENDING (takes down and ends) -> ENDED. Only the closer (record CLOSING) moves them on; RUNNING,
 * STOPPING, ENDING are set by others under `lock`, STOPPED and ENDED by the thread.
 */
#ifndef STOA_HOST_HOME_H
#define STOA_HOST_HOME_H

#include "proxy/parcel.h"
#include "proxy/thread_state.h"

enum {
    STOA_HOME_STARTING,
    STOA_HOME_RUNNING,
    STOA_HOME_STOPPING,
    STOA_HOME_STOPPED,
    STOA_HOME_ENDING,
    STOA_HOME_ENDED
};

typedef struct stoa_job {
    struct stoa_job *next;
    void (*run)(struct stoa_job *job, stoa_interp_record *record); /* no GIL; frees the job */
    void (*refuse)(struct stoa_job *job, const char *why); /* the same. NULL: it was closed before the job began */
    /* NULL, or: the interpreter is to be closed, end soon. Any thread, under a lock: may set flags and wake, no more. A job
     * that has one outlives its run. */
    void (*stop)(struct stoa_job *job);
    _Atomic bool rests; /* such a job's: it has nothing to do just now, so there is nothing to interrupt */
} stoa_job;

typedef struct stoa_home stoa_home;

/* Makes an interpreter with its home thread; waits for it. `path`: a packed list for sys.path; NULL: the main
 * interpreter's. No GIL held.
 * *out: new reference. STOA_ENOMEM, STOA_EPYTHON (Python could not make one), STOA_EGONE (Python is ending). */
stoa_err stoa__home_make(const char *name, bool shared_gil, const stoa_parcel *path, stoa_interp_record **out);

/* The same, without waiting: `job` is run there first, or refused with the reason. `name` and `path` must live until then.
 * STOA_ENOMEM, STOA_EOS: no thread; the job stays the caller's. */
stoa_err stoa__home_start(const char *name, bool shared_gil, const stoa_parcel *path, stoa_job *job);

/* Gives a job to the record's home thread, starting one where there is none. Takes the job over on success.
 * STOA_EGONE, STOA_ENOMEM, STOA_EOS: no thread; the job stays the caller's. */
stoa_err stoa__home_submit(stoa_interp_record *record, stoa_job *job);
/* The same for who has `inside` already, which may have been before a close began: then the job is refused, or the closer gives
 * up and it is run. */
stoa_err stoa__home_submit_held(stoa_interp_record *record, stoa_job *job);

/* Is the calling thread this interpreter's home thread? */
bool stoa__home_is_here(const stoa_interp_record *record);
/* Serial of the interpreter whose home the calling thread is; 0: none. */
uint32_t stoa__home_serial(void);

/* Number of the waiter (heap/waiter.h) of that thread; 0: it is just coming, or there is none. */
uint32_t stoa__home_thread(stoa_interp_record *record);

/* The closer, with no GIL: STOPPING, and waits for STOPPED. STOA_ETIMEDOUT, STOA_EINTERRUPTED (call again),
 * STOA_EDEADLOCK: the job under way waits for the closer. */
stoa_err stoa__home_stop(stoa_interp_record *record, stoa_deadline deadline);
/* STOPPED -> RUNNING after a close that gave up. */
void stoa__home_go_on(stoa_interp_record *record);
/* STOPPED -> ENDING, and waits for ENDED; takes down and ends an interpreter that Stoa made, and its record is GONE then.
 * STOA_ETIMEDOUT, STOA_EDEADLOCK: goes on by itself. STOA_EINTERRUPTED: call again. Nobody may be inside. */
stoa_err stoa__home_end(stoa_interp_record *record, stoa_deadline deadline);
/* On the home thread of `record` (elsewhere nothing), under its GIL: the job under way reads what it is to call; the call begins
 * (false: an interrupt came before, and is raised now); it is over. What the job does before and after that, it tells in the
 * caller's interpreter how it stands, is not to be interrupted. A job with `stop` has begun when it runs, and says by `rests`
 * when it is over. */
void stoa__home_job_reads(const stoa_interp_record *record);
bool stoa__home_job_begins(stoa_interp_record *record);
void stoa__home_job_over(void);

/* Raises `exception` in the job under way. GIL of the interpreter. Returns how many jobs that were: 0 or 1. */
int stoa__home_interrupt(stoa_interp_record *record, PyObject *exception);

#endif
