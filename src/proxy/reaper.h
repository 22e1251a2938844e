/* The reaper: lets go, in idle interpreters, of objects whose last proxy went.
 *
 * Dropping the last proxy only queues a release with the owner (heap/handle.h), for the object may be touched inside its
 * owner only. Whoever is next inside applies what is queued; but nobody may ever come to an idle owner, and a million
 * dead objects would stay there. Applying them where the proxy is dropped would run the owner's __del__ methods in the
 * middle of a deallocation elsewhere. So one thread a process sleeps until a release is queued, gives the owners
 * STOA_REAPER_PATIENCE seconds to be visited anyway, and then sends a service thread (proxy/service.h) on a round: it enters
 * those who still have some. A __del__ that blocks holds that thread up, and nobody else: when a round is not over in
 * STOA_REAPER_PATIENCE seconds, another thread makes one, past the owners where somebody is already. So there are as many
 * threads as owners that block, and one.
 *
 * It is started with the first handle, is none of Python's threads, takes no signals, and is not needed for anything else:
 * an owner that ends frees what it has by itself. A forked child starts its own when needed.
 */
#ifndef STOA_PROXY_REAPER_H
#define STOA_PROXY_REAPER_H

#define STOA_REAPER_PATIENCE 0.05

/* Idempotent; one load when it runs. Any thread. Without memory for a thread, the next call tries again. */
void stoa__reaper_start(void);
/* The main interpreter ends: from now on nobody is entered, though interpreters that cannot be closed are left. Waits for
 * the errands under way, for some seconds. GIL of the main interpreter. */
void stoa__reaper_stop(void);
/* There is a main interpreter (again). */
void stoa__reaper_allow(void);

#endif
