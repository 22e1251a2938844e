/* The guard's words: what is said about a write that is let through, and before the process ends at one that is not.
 * All async-signal-safe: text is put together by hand and written to standard error. */
#ifndef STOA_HEAP_GUARD_REPORT_H
#define STOA_HEAP_GUARD_REPORT_H

#include "heap/guard.h"

typedef struct stoa_fault {
    const void *address;
    void *context; /* the handler's third argument */
    bool is_bus;   /* SIGBUS: there is no page */
    bool is_write;
    bool in_alias;    /* of the writable view */
    bool is_refcount; /* written to a reference count */
    int os_error;     /* not 0: why a page could not be opened */
} stoa_fault;

void stoa__guard_warn(const stoa_guard *guard, const stoa_fault *fault);
void stoa__guard_report(const stoa_guard *guard, const stoa_fault *fault);
/* A fault came while the thread was reporting another one. */
void stoa__guard_report_failed(const void *address);

#endif
