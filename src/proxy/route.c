#include "proxy/route.h"

#include <stdlib.h>

stoa_route *
stoa__route_new(stoa_via via, stoa_waiter *home, int64_t timeout)
{
    stoa_route *route = calloc(1, sizeof(*route));
    if (route != NULL) {
        route->refs = 1;
        route->via = via;
        route->home = home == NULL ? NULL : stoa__waiter_ref(home);
        route->timeout = timeout;
    }
    return route;
}

stoa_route *
stoa__route_ref(stoa_route *route)
{
    if (route != NULL) {
        atomic_fetch_add(&route->refs, 1);
    }
    return route;
}

void
stoa__route_unref(stoa_route *route)
{
    if (route != NULL && atomic_fetch_sub(&route->refs, 1) == 1) {
        if (route->home != NULL) {
            stoa__waiter_unref(route->home);
        }
        free(route);
    }
}

stoa_deadline
stoa__route_deadline(const stoa_route *route)
{
    if (route == NULL || route->timeout < 0) {
        return STOA_FOREVER;
    }
    int64_t now = stoa__now();
    return route->timeout > STOA_FOREVER - now ? STOA_FOREVER : now + route->timeout;
}
