/* How calls of a proxy go: which way, to which thread, for how long (proxy/call.h). */
#ifndef STOA_PROXY_ROUTE_H
#define STOA_PROXY_ROUTE_H

#include "heap/waiter.h"

typedef enum stoa_via { STOA_VIA_AUTO, STOA_VIA_ENTER, STOA_VIA_POST } stoa_via;

/* Counted; const but for `refs`. */
typedef struct stoa_route {
    _Atomic uint32_t refs;
    stoa_via via;
    stoa_waiter *home; /* a reference; NULL: any thread */
    int64_t timeout;   /* nanoseconds for each call; < 0: none */
} stoa_route;

/* A new route with one reference; NULL: no memory. `home` may be NULL; a reference is taken. */
stoa_route *stoa__route_new(stoa_via via, stoa_waiter *home, int64_t timeout);
stoa_route *stoa__route_ref(stoa_route *route);
void stoa__route_unref(stoa_route *route); /* NULL: nothing */
/* When a call that begins now is out of time. */
stoa_deadline stoa__route_deadline(const stoa_route *route);

#endif
