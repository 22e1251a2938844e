/* Service threads: they go into interpreters on behalf of callers who must be able to leave.
 *
 * One pool for the process: a thread is started when nobody is free, and ends after a second without work. What is posted
 * is run in order of posting, without a GIL. Nobody waits for these threads; in a forked child there are none.
 */
#ifndef STOA_PROXY_SERVICE_H
#define STOA_PROXY_SERVICE_H

#include "heap/mailbox.h"

/* Gives a call to a service thread. STOA_ENOMEM, STOA_EOS: no thread to be had; nobody runs it. */
stoa_err stoa__serve(stoa_posted *call);

#endif
