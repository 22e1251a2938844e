#include "proxy/proxy.h"

#include <stdlib.h>

#include "heap/error.h"
#include "immortal/exceptions.h"
#include "immortal/foreign.h"
#include "proxy/call.h"
#include "proxy/drop.h"
#include "proxy/proxy_method.h"
#include "proxy/proxy_type.h"
#include "proxy/reaper.h"
#include "proxy/shape.h"
#include "proxy/thing.h"

/* Releases applied by one who comes by: a million that wait must not stop him for long. */
#define RELEASES_AT_ONCE 64
#define RELEASE_ROUNDS 64

/* ---- life -------------------------------------------------------------------------------------------------------- */

static stoa_side *
new_side(stoa_interp_record *record)
{
    stoa_side *side = calloc(1, sizeof(*side));
    if (side == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    side->record = stoa__interp_ref(record);
    side->refs = 1;
    side->proxy_type = stoa__proxy_type_new();
    side->iterator_type = side->proxy_type == NULL ? NULL : stoa__proxy_iterator_type_new();
    if (side->iterator_type == NULL) {
        Py_CLEAR(side->proxy_type);
        stoa__side_unref(side);
        return NULL;
    }
    return side;
}

static stoa_side *
gone(stoa_interp_record *record)
{
    (void)stoa__fail(STOA_EGONE, "interpreter '%s' is being ended: no proxies can be made or passed",
                     record->name);
    stoa__raise(STOA_EGONE);
    return NULL;
}

stoa_side *
stoa__side_of(stoa_interp_record *record)
{
    stoa_member *member = record->cookie;
    if (member == NULL) {
        return gone(record);
    }
    if (member->side == NULL) {
        stoa_side *side = new_side(record);
        if (side == NULL || member->side != NULL) { /* making the types may have let another thread in */
            if (side != NULL) {
                Py_CLEAR(side->proxy_type);
                Py_CLEAR(side->iterator_type);
                stoa__side_unref(side);
            }
            return member->side;
        }
        member->side = side;
    }
    return member->side->left ? gone(record) : member->side;
}

stoa_side *
stoa__side_here(void)
{
    stoa_interp_record *record = stoa__current_record();
    return record == NULL ? NULL : stoa__side_of(record);
}

void
stoa__side_unref(stoa_side *side)
{
    if (--side->refs == 0) {
        stoa__map_free(&side->exports);
        stoa__map_free(&side->imports);
        stoa__map_free(&side->things);
        stoa__map_free(&side->shapes);
        stoa__interp_unref(side->record);
        free(side);
    }
}

void
stoa__side_leave(stoa_interp_record *record)
{
    stoa_member *member = record->cookie;
    stoa_side *side = member == NULL ? NULL : member->side;
    stoa__foreign_leave();
    if (side == NULL || side->left) {
        return;
    }
    side->left = true;
    stoa__handle_owner_gone(record);
    while (side->exports.count > 0) { /* dropping them may run code; nothing is added any more */
        stoa_map_entry *entry = side->exports.entries;
        while (entry->key == 0) {
            entry++;
        }
        PyObject *object = (PyObject *)(uintptr_t)entry->key;
        stoa__map_remove(&side->exports, entry);
        Py_DECREF(object);
    }
    stoa__things_leave(side);
    stoa__shapes_leave(side);
    for (size_t i = 0; i < STOA_NAME_CACHE; i++) {
        Py_CLEAR(side->names[i].name);
    }
    Py_CLEAR(side->proxy_type);
    Py_CLEAR(side->iterator_type);
    /* the member keeps it, so that no other is made */
}

/* ---- exports ----------------------------------------------------------------------------------------------------- */

static _Thread_local stoa_waiter *exports_at;

stoa_waiter *
stoa__exports_at(stoa_waiter *home)
{
    stoa_waiter *before = exports_at;
    exports_at = home;
    return before;
}

/* A live handle of it, with one more reference; 0: none. */
static stoa_handle
find_export(stoa_side *side, PyObject *object)
{
    stoa_map_entry *entry = stoa__map_first(&side->exports, (uintptr_t)object);
    while (entry != NULL && stoa__handle_ref(entry->value) != STOA_OK) {
        entry = stoa__map_next(&side->exports, entry);
    }
    return entry == NULL ? 0 : entry->value;
}

static int
add_export(stoa_side *side, PyObject *object, stoa_waiter *home, stoa_handle *out)
{
    stoa_err err = stoa__handle_new_at(side->record, object, home, out);
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    stoa__reaper_start();
    Py_INCREF(object); /* the entry's; without an entry it is what the release will drop */
    if (!stoa__map_add(&side->exports, (uintptr_t)object, *out)) {
        stoa__handle_unref(*out);
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

int
stoa__side_export(stoa_side *side, PyObject *object, stoa_handle *out)
{
    *out = find_export(side, object);
    return *out != 0 ? 0 : add_export(side, object, exports_at, out);
}

int
stoa__side_export_home(stoa_side *side, PyObject *object, stoa_handle *out)
{
    stoa_waiter *home = stoa__waiter_here();
    if (home == NULL) {
        stoa__raise(STOA_ENOMEM);
        return -1;
    }
    *out = find_export(side, object);
    if (*out == 0) {
        return add_export(side, object, home, out);
    }
    if (stoa__handle_home(*out) == home) {
        return 0;
    }
    PyErr_Format(
        PyExc_ValueError,
        stoa__handle_home(*out) == NULL
            ? "this %.200s has proxies that any thread may use; make the one with thread='home' first"
            : "this %.200s has its home on another thread",
        Py_TYPE(object)->tp_name);
    stoa__handle_unref(*out);
    return -1;
}

static bool
is_stale(stoa_handle handle)
{
    stoa_interp_record *owner;
    void *object;
    return stoa__handle_get(handle, &owner, &object) != STOA_OK;
}

/* A handle of `object` was released: its entry goes. Each release has one; where there are several, it is a stale one. */
static void
remove_export(stoa_side *side, PyObject *object)
{
    stoa_map_entry *entry = stoa__map_first(&side->exports, (uintptr_t)object);
    if (entry == NULL) {
        return; /* there was no memory for an entry */
    }
    stoa_map_entry *other = stoa__map_next(&side->exports, entry);
    while (other != NULL && !is_stale(entry->value)) {
        entry = other;
        other = stoa__map_next(&side->exports, entry);
    }
    stoa__map_remove(&side->exports, entry);
}

size_t
stoa__side_apply_releases(stoa_interp_record *record)
{
    size_t applied = 0;
    void *objects[RELEASES_AT_ONCE];
    stoa_waiter *homes[RELEASES_AT_ONCE];
    stoa_member *member = record->cookie;
    stoa_side *side = member == NULL ? NULL : member->side;
    size_t count = RELEASES_AT_ONCE;
    for (int round = 0; round < RELEASE_ROUNDS && count == RELEASES_AT_ONCE && side != NULL && !side->left;
         round++) {
        count = stoa__handle_take_released(record, objects, homes, RELEASES_AT_ONCE);
        for (size_t i = 0; i < count; i++) {
            remove_export(side, objects[i]);
        }
        for (size_t i = 0; i < count; i++) {
            if (homes[i] == NULL) {
                Py_DECREF((PyObject *)objects[i]);
            }
            else {
                stoa__drop_at_home(record, objects[i], homes[i]);
            }
        }
        applied += count;
    }
    return applied;
}

/* ---- imports ----------------------------------------------------------------------------------------------------- */

/* 0, or -1: no memory. */
static int
route_for(stoa_handle handle, stoa_route **out)
{
    stoa_waiter *home = stoa__handle_home(handle);
    *out = home == NULL ? NULL : stoa__route_new(STOA_VIA_AUTO, home, -1);
    return home != NULL && *out == NULL ? -1 : 0;
}

PyObject *
stoa__side_make_proxy(stoa_side *side, stoa_handle handle, bool plain)
{
    stoa_route *route = NULL;
    stoa_interp_record *owner;
    void *object;
    /* that of a closed interpreter gets a proxy, too: it says so when it is used */
    stoa_err err = stoa__handle_get_held(handle, &owner, &object);
    if (err != STOA_OK || side->left) {
        stoa__handle_unref(handle);
        return err != STOA_OK ? stoa__raise(err) : (PyObject *)gone(side->record);
    }
    if (plain) {
        stoa_map_entry *entry = stoa__map_first(&side->imports, handle);
        if (entry != NULL) {
            stoa__handle_unref(handle);
            return Py_NewRef((PyObject *)(uintptr_t)entry->value);
        }
    }
    stoa_proxy_object *self = route_for(handle, &route) < 0
                                  ? (stoa_proxy_object *)PyErr_NoMemory()
                                  : PyObject_New(stoa_proxy_object, side->proxy_type);
    if (self != NULL && plain && !stoa__map_add(&side->imports, handle, (uintptr_t)self)) {
        PyTypeObject *type = side->proxy_type;
        PyObject_Free(self);
        Py_DECREF(type);
        self = NULL;
        PyErr_NoMemory();
    }
    if (self == NULL) {
        stoa__route_unref(route);
        stoa__handle_unref(handle);
        return NULL;
    }
    self->handle = handle;
    self->route = route;
    self->owner = owner;
    self->object = object;
    self->side = side;
    side->refs++;
    self->vectorcall = stoa__proxy_vectorcall;
    self->weak_references = NULL;
    self->function = NULL;
    self->shape = NULL;
    self->shapes_seen = 0;
    self->asked = 0;
    self->busy = 0;
    self->exported = 0;
    self->release_wanted = false;
    self->plain = plain;
    return (PyObject *)self;
}

PyObject *
stoa__side_make_routed(PyObject *proxy, stoa_route *route)
{
    stoa_proxy_object *from = stoa__proxy(proxy);
    PyObject *made = NULL;
    stoa_err err = STOA_EPYTHON;
    bool settled = stoa__proxy_settle(proxy) == 0;
    if (settled && stoa__proxy_was_released(from)) { /* settling lets others in */
        stoa__proxy_is_released(from, "given options");
    }
    else if (settled && (err = stoa__handle_ref(from->handle)) != STOA_OK) {
        stoa__proxy_failed(from, err);
    }
    if (err == STOA_OK) {
        made = stoa__side_make_proxy(from->side, from->handle, false);
    }
    if (made == NULL) {
        stoa__route_unref(route);
        return NULL;
    }
    stoa__route_unref(stoa__proxy(made)->route);
    stoa__proxy(made)->route = route;
    return made;
}

/* In its own interpreter: the object, but for threads that must not touch it. */
static bool
is_at_home(stoa_handle handle)
{
    stoa_waiter *home = stoa__handle_home(handle);
    return home == NULL || home == stoa__waiter_here();
}

PyObject *
stoa__side_import(stoa_side *side, stoa_handle handle)
{
    stoa_map_entry *entry = stoa__map_first(&side->imports, handle);
    if (entry != NULL) {
        stoa_proxy_object *known = stoa__proxy((PyObject *)(uintptr_t)entry->value);
        bool own = known->owner == side->record && is_at_home(handle);
        PyObject *found = Py_NewRef(own ? known->object : (PyObject *)known);
        stoa__handle_unref(handle);
        return found;
    }
    stoa_interp_record *owner;
    void *object;
    if (stoa__handle_get(handle, &owner, &object) == STOA_OK) {
        if (owner == side->record && is_at_home(handle)) {
            PyObject *own = Py_NewRef((PyObject *)object);
            stoa__handle_unref(handle);
            return own;
        }
        if (stoa__thing_owns(owner)) {
            return stoa__thing_wrap(side, object);
        }
    }
    return stoa__side_make_proxy(side, handle, true);
}
