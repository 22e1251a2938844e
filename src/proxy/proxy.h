/* Proxies: objects of other interpreters, used through an object of one's own.
 *
 * A mutable object cannot be used by two interpreters: its reference count and its fields belong to one GIL. So it stays
 * with its owner, and others get a proxy: {handle, owner, address}. Each operation on a proxy becomes a request that runs
 * inside the owner: operands cross there, the operation is done on the object itself, and the result crosses back. What
 * crosses how is told in proxy/cross.h; small values take a way of their own (proxy/request.h), since a swap there and
 * back takes 50 ns and a general parcel would cost more than that.
 *
 * One proxy an object and interpreter, so `is` holds: each interpreter has a side with two tables, the handles of its own
 * objects that others know (exports), and its living proxies (imports).
 *
 * Invariants
 *  1. side->exports has one entry for each handle of this owner whose release was not applied; each entry owns one
 *     reference of its object.
 *  2. A proxy is in side->imports from its making to its release or the start of its dealloc; also one of an object of
 *     the interpreter itself, which only proxy() makes: what arrives by that handle is the object.
 *  3. proxy->handle != 0  =>  the proxy holds one reference of that handle, so `owner` and `object` stay what they are.
 *  4. proxy->busy counts the requests that are under way: release() leaves the handle to the last of them.
 */
#ifndef STOA_PROXY_PROXY_H
#define STOA_PROXY_PROXY_H

#include <Python.h>

#include "heap/handle.h"
#include "heap/thing.h"
#include "proxy/handle_map.h"
#include "proxy/membership.h"

#define STOA_NAME_CACHE 512u

typedef struct stoa_name_slot {
    PyObject *name;   /* owned: a str that this interpreter has interned */
    PyObject *shared; /* its twin in the shared heap */
} stoa_name_slot;

/* One interpreter's side of proxies. All under its GIL. */
typedef struct stoa_side {
    stoa_interp_record *record; /* const: a reference */
    uint32_t refs;              /* the member's, and one of each proxy */
    bool left;                  /* the interpreter is being ended: nothing new */
    uint32_t names_shared;
    uint64_t crossings;       /* requests this interpreter has sent */
    PyTypeObject *proxy_type; /* references, until left */
    PyTypeObject *iterator_type;
    stoa_handle_map exports; /* object -> handle; several of one object while releases are on their way */
    stoa_handle_map imports; /* handle -> proxy, borrowed */
    stoa_handle_map things;  /* handle -> wrapper of a thing (proxy/thing.h), borrowed */
    stoa_handle_map shapes;  /* class of another interpreter -> what is known of it (proxy/shape.h) */
    uint8_t shapes_made; /* grows, round and round; so that a proxy looks for its shape no more often than there is a new one */
    PyTypeObject *thing_types[STOA_THING_KINDS]; /* references, until left; NULL: not made yet */
    stoa_name_slot names[STOA_NAME_CACHE];
} stoa_side;

typedef struct stoa_shape stoa_shape;                   /* proxy/shape.h */
typedef struct stoa_class_function stoa_class_function; /* the same */

typedef struct stoa_proxy_object {
    PyObject_HEAD
    stoa_handle handle;        /* 0: released */
    stoa_interp_record *owner; /* borrowed from the handle; of one that was released: a reference, or NULL */
    PyObject *object;          /* the owner's; for use inside it only; NULL: released */
    stoa_side *side;           /* a reference */
    struct stoa_route *route; /* a reference: how its calls go (proxy/call.h); NULL: enter, from any thread */
    vectorcallfunc vectorcall;
    PyObject *weak_references;
    stoa_class_function *function; /* a reference; NULL, or: it stands for that method of the object (proxy/proxy_method.h) */
    stoa_shape *shape; /* a reference; NULL: not known */
    uint32_t busy;
    uint16_t exported;       /* buffers given out */
    uint8_t shapes_seen;     /* side->shapes_made when it last looked for its shape */
    bool release_wanted : 1; /* release() came while busy */
    bool plain : 1;          /* in side->imports */
    uint8_t asked : 2;       /* how many methods it has asked its owner for, up to what makes it learn them */
} stoa_proxy_object;

/* The current interpreter's; made on first need. Borrowed. NULL with an exception. GIL. */
stoa_side *stoa__side_here(void);
/* The same for the interpreter of `record`, which is current. */
stoa_side *stoa__side_of(stoa_interp_record *record);
/* The interpreter ends: gives up all that its handles hold. Its GIL; nobody else can be inside any more. */
void stoa__side_leave(stoa_interp_record *record);
void stoa__side_unref(stoa_side *side);

/* A handle of `object`, with one reference for the caller. -1 with an exception. GIL of the side. */
int stoa__side_export(stoa_side *side, PyObject *object, stoa_handle *out);
/* The same for an object that only this thread may touch from now on. ValueError when others have proxies of it already. */
int stoa__side_export_home(stoa_side *side, PyObject *object, stoa_handle *out);
/* What this thread exports anew from now on is at home with `home` (NULL: nowhere): a cursor belongs where its connection
 * does. Returns what it was before. */
struct stoa_waiter *stoa__exports_at(struct stoa_waiter *home);
/* What stands here for a handle: the object itself when it is this interpreter's, else its one proxy. New reference;
 * takes over the caller's reference of the handle, in failure too. NULL with an exception. GIL of the side. */
PyObject *stoa__side_import(stoa_side *side, stoa_handle handle);
/* A proxy even of an object of the interpreter itself; `plain` false: another proxy of the same object. As above. */
PyObject *stoa__side_make_proxy(stoa_side *side, stoa_handle handle, bool plain);
/* Another proxy of the object of `proxy`, whose calls go by `route`: a reference of it is taken over, in failure too. New
 * reference, or NULL with an exception. */
PyObject *stoa__side_make_routed(PyObject *proxy, struct stoa_route *route);
/* Applies what releases wait for this owner, up to a few thousand (GIL held); may run __del__. How many. No exception
 * may be set. */
size_t stoa__side_apply_releases(stoa_interp_record *record);

/* A handle for whatever `object` is: a proxy's own, else a new reference of its export. -1 with an exception. GIL. */
int stoa__proxy_handle_of(stoa_side *side, PyObject *object, stoa_handle *out);
/* Raises why a reference of the handle of a settled proxy, which is not released, could not be had; always NULL. GIL. */
PyObject *stoa__proxy_failed(const stoa_proxy_object *proxy, stoa_err err);

/* Raises ReleasedProxy: there is nothing left that could be `done` ("used", "passed on"); always NULL. GIL. */
PyObject *stoa__proxy_is_released(const stoa_proxy_object *proxy, const char *done);

bool stoa__is_proxy(const PyObject *object);
/* Gives up the handle; later use raises ReleasedProxy. -1 with an exception: buffers of it are in use. */
int stoa__proxy_release(PyObject *self);

static inline stoa_proxy_object *
stoa__proxy(PyObject *self)
{
    return (stoa_proxy_object *)self;
}

/* release() was called, or has begun. */
static inline bool
stoa__proxy_was_released(const stoa_proxy_object *proxy)
{
    return proxy->handle == 0 || proxy->release_wanted;
}

#endif
