/* Making and closing interpreters: what the Python class and the C API share.
 *
 * Closing waits for the calls that are under way, so it can wait for itself: by a thread that is inside what it closes,
 * or round a ring of threads, each inside what another one closes. Who closes is therefore entered in one list with the
 * interpreters its thread is inside; a new entry that completes a ring is refused (STOA_EDEADLOCK).
 */
#ifndef STOA_HOST_INTERP_H
#define STOA_HOST_INTERP_H

#include "heap/interp_table.h"
#include "proxy/parcel.h"

/* A new interpreter. With or without a GIL held (given up meanwhile). `path`: packed list for sys.path; NULL: the main
 * interpreter's.
 * *out: new reference. Codes as stoa__home_make. */
stoa_err
stoa__interp_make(const char *name, bool shared_gil, const stoa_parcel *path, stoa_interp_record **out);

/* Closes it: nobody enters any more, calls under way finish, submitted calls that have not begun get InterpreterGone, then
 * it ends. Idempotent: STOA_OK when it is closed already, waits when somebody else is closing it. With or without a GIL
 * held. STOA_ESTATE: the main interpreter, or one that somebody else made. STOA_EDEADLOCK: see above. STOA_ETIMEDOUT: it
 * stays open, unless all calls are out and only its own threads keep it. STOA_EINTERRUPTED after a signal: call again. */
stoa_err stoa__interp_close(stoa_interp_record *record, stoa_deadline deadline);

/* Raises `exception`, a class that exists in all interpreters, in what runs inside by Stoa's doing. With or without a
 * GIL held. How many threads; 0 also when it is closed. */
int stoa__interp_interrupt(stoa_interp_record *record, PyObject *exception);

/* Closes all that Stoa made, firmly (see interp.c); what cannot be closed is told to the message hook. GIL of the main
 * interpreter. STOA_ETIMEDOUT when one is left. */
stoa_err stoa__interp_close_all(void);

/* Hooks the host layer into membership. Idempotent, any thread. */
void stoa__host_ready(void);

#endif
