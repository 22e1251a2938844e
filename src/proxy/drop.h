/* Letting go of an object that only one thread may touch.
 *
 * The last proxy of such an object may be dropped anywhere, and the release is found by whoever comes into its owner; but
 * giving up the last reference runs its __del__, or closes its window. So that is posted to the object's home thread, which
 * does it when it comes by. If that thread has ended, or ends before, nobody else can touch the object any more, and
 * anybody may let go of it.
 */
#ifndef STOA_PROXY_DROP_H
#define STOA_PROXY_DROP_H

#include "heap/waiter.h"
#include "proxy/membership.h"

/* Gives up one reference of `object` of the interpreter of `record`, which is current, on the thread of `home`. Takes over a
 * reference of `home`. May run __del__, when this is that thread. GIL. */
void stoa__drop_at_home(stoa_interp_record *record, PyObject *object, stoa_waiter *home);

#endif
