#include "proxy/thing.h"

#include "proxy/crossinterp.h"

#include "heap/error.h"
#include "immortal/exceptions.h"

static PyTypeObject *(*makers[STOA_THING_KINDS])(void); /* const after the module is set up */

void
stoa__thing_set_type(stoa_thing_kind kind, PyTypeObject *(*make)(void))
{
    makers[kind] = make;
}

static void
raise_ending(void)
{
    PyErr_SetString(PyExc_RuntimeError, "stoa: this interpreter is being ended");
}

PyTypeObject *
stoa__thing_type(stoa_side *side, stoa_thing_kind kind)
{
    if (side->thing_types[kind] != NULL) {
        return side->thing_types[kind];
    }
    if (makers[kind] == NULL) {
        PyObject *module = PyImport_ImportModule("stoa");
        Py_XDECREF(module);
        if (module == NULL) {
            return NULL;
        }
    }
    if (side->left) {
        raise_ending();
        return NULL;
    }
    if (makers[kind] == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "stoa: a thing of an unknown kind has come");
        return NULL;
    }
    PyTypeObject *made = makers[kind]();
    if (made == NULL || stoa__crossinterp_class(made) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    if (side->thing_types[kind] == NULL && !side->left) {
        side->thing_types[kind] = made;
    }
    else {
        Py_DECREF(made); /* making it may have let another thread in, which made its own */
    }
    if (side->thing_types[kind] == NULL) {
        raise_ending();
    }
    return side->thing_types[kind];
}

/* Borrowed. One with gc may be found on its way out, while the fields of its class are cleared: it counts no more. */
static PyObject *
living_wrapper(stoa_side *side, const stoa_thing *thing)
{
    stoa_map_entry *entry = stoa__map_first(&side->things, thing->handle);
    PyObject *found = entry == NULL ? NULL : (PyObject *)(uintptr_t)entry->value;
    if (found != NULL && Py_REFCNT(found) == 0) {
        stoa__map_remove(&side->things, entry);
        return NULL;
    }
    return found;
}

/* Takes over the thing's reference: in failure, too, `self` has it. */
static int
fill_head(stoa_side *side, stoa_thing_object *self, stoa_thing *thing)
{
    self->thing = thing;
    self->side = side;
    side->refs++;
    if (!stoa__map_add(&side->things, thing->handle, (uintptr_t)self)) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

PyObject *
stoa__thing_wrap(stoa_side *side, stoa_thing *thing)
{
    PyObject *there = living_wrapper(side, thing);
    PyTypeObject *type = there != NULL ? NULL : stoa__thing_type(side, thing->kind);
    PyObject *self = type == NULL ? NULL : PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        there = living_wrapper(side, thing); /* the type, or gc, may have let another thread in */
    }
    if (self == NULL || there != NULL) {
        stoa__thing_unref(thing);
        Py_XDECREF(self);
        return Py_XNewRef(there);
    }
    if (fill_head(side, (stoa_thing_object *)self, thing) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

int
stoa__thing_adopt(PyObject *self, stoa_thing *thing)
{
    stoa_side *side = stoa__side_here();
    if (side == NULL || stoa__thing_type(side, thing->kind) == NULL) {
        stoa__thing_unref(thing);
        return -1;
    }
    if (((stoa_thing_object *)self)->side != NULL) { /* what ran until now has initialised it, too */
        stoa__thing_unref(thing);
        PyErr_Format(PyExc_RuntimeError, "this %s is initialised already", Py_TYPE(self)->tp_name);
        return -1;
    }
    return fill_head(side, (stoa_thing_object *)self, thing);
}

PyObject *
stoa__thing_wrap_new(stoa_thing *thing)
{
    stoa_side *side = stoa__side_here();
    if (side == NULL) {
        stoa__thing_unref(thing);
        return NULL;
    }
    return stoa__thing_wrap(side, thing);
}

void
stoa__thing_dealloc(PyObject *object)
{
    stoa_thing_object *self = (stoa_thing_object *)object;
    PyTypeObject *type = Py_TYPE(object), *own = type;
    while (own->tp_dealloc != stoa__thing_dealloc) {
        own = own->tp_base; /* what a class made in Python adds is gone already */
    }
    if (PyType_IS_GC(type)) {
        PyObject_GC_UnTrack(object);
        (void)own->tp_clear(object); /* code may run, and the interpreter end meanwhile */
    }
    stoa_thing *thing = self->thing;
    if (thing != NULL) { /* first: weak references may run code, which must not find it */
        stoa_map_entry *entry = stoa__map_first(&self->side->things, thing->handle);
        if (entry != NULL && entry->value == (uintptr_t)self) {
            stoa__map_remove(&self->side->things, entry);
        }
    }
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    stoa__thing_unref(thing);
    if (self->side != NULL) {
        stoa__side_unref(self->side);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

stoa_thing *
stoa__thing_get(PyObject *object)
{
    stoa_thing_object *self = (stoa_thing_object *)object;
    if (self->thing == NULL && self->side == NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "this %s was not initialised: its class does not call super().__init__()",
                     Py_TYPE(object)->tp_name);
    }
    else if (self->thing == NULL) {
        PyErr_Format(stoa__exception(STOA_EXC_InterpreterGone),
                     "this %s is known by an interpreter that is being ended", Py_TYPE(object)->tp_name);
    }
    return self->thing;
}

int
stoa__thing_handle_of(PyObject *object, stoa_handle *out)
{
    stoa_thing *thing = stoa__thing_get(object);
    if (thing == NULL) {
        return -1;
    }
    stoa_err err = stoa__handle_ref(thing->handle);
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    *out = thing->handle;
    return 0;
}

PyObject *
stoa__thing_repr(PyObject *object)
{
    stoa_thing *thing = ((stoa_thing_object *)object)->thing;
    if (thing == NULL) {
        return PyUnicode_FromFormat("<%s of an interpreter that is being ended>", Py_TYPE(object)->tp_name);
    }
    return PyUnicode_FromFormat("<%s %llu>", Py_TYPE(object)->tp_name, (unsigned long long)thing->id);
}

void
stoa__things_leave(stoa_side *side)
{
    while (side->things.count > 0) {
        stoa_map_entry *entry = side->things.entries;
        while (entry->key == 0) {
            entry++;
        }
        stoa_thing_object *self = (stoa_thing_object *)(uintptr_t)entry->value;
        stoa_thing *thing = self->thing;
        stoa__map_remove(&side->things, entry);
        self->thing = NULL;
        stoa__thing_unref(thing);
    }
    for (int kind = 0; kind < STOA_THING_KINDS; kind++) {
        Py_CLEAR(side->thing_types[kind]);
    }
}
