#include "module/interpreter_object.h"

#include <stdlib.h>

#include "proxy/handle_map.h"

struct stoa_interpreter_objects {
    size_t refs; /* the module's state, and each object */
    stoa_handle_map map;
};

stoa_interpreter_objects *
stoa__interpreter_objects_new(void)
{
    stoa_interpreter_objects *objects = calloc(1, sizeof(*objects));
    if (objects == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    objects->refs = 1;
    return objects;
}

void
stoa__interpreter_objects_unref(stoa_interpreter_objects *objects)
{
    if (--objects->refs == 0) {
        stoa__map_free(&objects->map);
        free(objects);
    }
}

PyObject *
stoa__interpreter_object(stoa_interpreter_objects *objects, PyTypeObject *type, stoa_interp_record *record)
{
    const stoa_map_entry *living = stoa__map_first(&objects->map, record->serial);
    if (living != NULL) {
        stoa__interp_unref(record);
        return Py_NewRef((PyObject *)(uintptr_t)living->value);
    }
    stoa_interpreter_object *self = (stoa_interpreter_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        stoa__interp_unref(record);
        return NULL;
    }
    self->record = record;
    if (!stoa__map_add(&objects->map, record->serial, (uintptr_t)self)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->objects = objects;
    objects->refs++;
    return (PyObject *)self;
}

void
stoa__interpreter_object_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    stoa_interpreter_object *object = (stoa_interpreter_object *)self;
    if (object->objects != NULL) { /* before the callbacks of weak references, which may ask for it again */
        stoa__map_remove(&object->objects->map, stoa__map_first(&object->objects->map, object->record->serial));
        stoa__interpreter_objects_unref(object->objects);
    }
    if (object->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    stoa__interp_unref(object->record);
    type->tp_free(self);
    Py_DECREF(type);
}
