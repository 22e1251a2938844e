/* Objects as items of queues (sync/item.h): the crossing rule (proxy/cross.h), with short ways for what is small or shared.
 *
 * An item outlives the interpreter that put it, so it never holds a reference to an object of it but by handle. What
 * belongs to a closed interpreter arrives as a proxy that says so when it is used.
 */
#ifndef STOA_PROXY_ITEM_H
#define STOA_PROXY_ITEM_H

#include <Python.h>

#include "proxy/proxy.h"
#include "sync/item.h"

/* The caller owns *out: stoa__item_drop. -1 with an exception, nothing to drop. GIL of the side. */
int stoa__item_pack(stoa_side *side, PyObject *object, stoa_item *out);
/* New reference; the item is dropped. NULL with an exception; the item is as it was. GIL of the side. */
PyObject *stoa__item_unpack(stoa_side *side, stoa_item *item);
/* The same, and the item stays as it is in success, too. */
PyObject *stoa__item_look(stoa_side *side, const stoa_item *item);

#endif
