#include "proxy/shape.h"

#include <stdlib.h>

#define FEWEST 8u
#define MOST 512u /* names of one class */

typedef struct known {
    PyObject *name; /* owned; NULL: free */
    stoa_class_function *function;
    stoa_method_view view;
} known;

struct stoa_shape {
    uint32_t refs;             /* proxies */
    stoa_side *side;           /* borrowed: of the proxies */
    stoa_interp_record *owner; /* borrowed: lasts as long as the handle */
    PyTypeObject *type;        /* the owner's */
    stoa_handle handle;        /* a reference of it */
    size_t count, room;
    known *names; /* open addressing by address; room a power of two */
};

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

void
stoa__lesson_give(PyObject *object, PyObject *name, stoa_lesson *lesson)
{
    PyObject *function = stoa__find_method(object, name, &lesson->view);
    stoa_side *side = function == NULL ? NULL : stoa__side_here();
    struct stoa_waiter *before = stoa__exports_at(NULL); /* a class has no home thread */
    if (side != NULL && stoa__side_export(side, (PyObject *)lesson->view.type, &lesson->type_handle) == 0) {
        if (stoa__side_export(side, function, &lesson->function_handle) == 0) {
            lesson->function = function;
        }
        else {
            stoa__handle_unref(lesson->type_handle);
        }
    }
    (void)stoa__exports_at(before);
    PyErr_Clear(); /* no memory: it is not learned */
}

/* ---- the table of names ------------------------------------------------------------------------------------------ */

static known *
find_name(known *names, size_t room, PyObject *name)
{
    for (size_t i = (size_t)(((uintptr_t)name >> 4) * 0x9E3779B1u >> 7);; i++) {
        known *slot = &names[i & (room - 1)];
        if (slot->name == NULL || slot->name == name) {
            return slot;
        }
    }
}

static bool
grow(stoa_shape *shape)
{
    if ((shape->count + 1) * 2 <= shape->room) {
        return true;
    }
    size_t room = shape->room == 0 ? FEWEST : shape->room * 2;
    known *names = room > 2 * MOST ? NULL : calloc(room, sizeof(*names));
    if (names == NULL) {
        return false;
    }
    for (size_t i = 0; i < shape->room; i++) {
        if (shape->names[i].name != NULL) {
            *find_name(names, room, shape->names[i].name) = shape->names[i];
        }
    }
    free(shape->names);
    shape->names = names;
    shape->room = room;
    return true;
}

void
stoa__class_function_unref(stoa_class_function *function)
{
    if (--function->refs == 0) {
        stoa__handle_unref(function->handle);
        free(function);
    }
}

static void
forget_names(stoa_shape *shape)
{
    known *names = shape->names;
    size_t room = shape->room;
    shape->names = NULL;
    shape->room = shape->count = 0;
    for (size_t i = 0; i < room; i++) {
        if (names[i].name != NULL) {
            stoa__class_function_unref(names[i].function);
            Py_DECREF(names[i].name);
        }
    }
    free(names);
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static stoa_map_entry *
find_shape(stoa_side *side, const stoa_interp_record *owner, const PyTypeObject *type)
{
    stoa_map_entry *entry = stoa__map_first(&side->shapes, (uintptr_t)type);
    while (entry != NULL && ((stoa_shape *)(uintptr_t)entry->value)->owner != owner) {
        entry = stoa__map_next(&side->shapes, entry); /* a static type has one address in all interpreters */
    }
    return entry;
}

/* Takes over the handle. NULL: no memory. */
static stoa_shape *
new_shape(stoa_side *side, stoa_interp_record *owner, PyTypeObject *type, stoa_handle handle)
{
    stoa_shape *shape = calloc(1, sizeof(*shape));
    if (shape == NULL || !stoa__map_add(&side->shapes, (uintptr_t)type, (uintptr_t)shape)) {
        free(shape);
        stoa__handle_unref(handle);
        return NULL;
    }
    *shape = (stoa_shape){.side = side, .owner = owner, .type = type, .handle = handle};
    side->shapes_made++;
    return shape;
}

void
stoa__shape_drop(stoa_proxy_object *proxy)
{
    stoa_shape *shape = proxy->shape;
    proxy->shape = NULL;
    if (shape == NULL || --shape->refs > 0) {
        return;
    }
    stoa_map_entry *entry = find_shape(shape->side, shape->owner, shape->type);
    if (entry != NULL) { /* none: the side has left */
        stoa__map_remove(&shape->side->shapes, entry);
        stoa__handle_unref(shape->handle);
    }
    forget_names(shape);
    free(shape);
}

void
stoa__shapes_leave(stoa_side *side)
{
    for (size_t i = 0; i < side->shapes.capacity; i++) {
        stoa_shape *shape = (stoa_shape *)(uintptr_t)side->shapes.entries[i].value;
        if (side->shapes.entries[i].key != 0) {
            stoa__handle_unref(shape->handle);
            forget_names(shape);
        }
    }
    stoa__map_free(&side->shapes);
}

static void
take_shape(stoa_proxy_object *proxy, stoa_shape *shape)
{
    shape->refs++;
    stoa__shape_drop(proxy);
    proxy->shape = shape;
}

void
stoa__lesson_learn(stoa_proxy_object *proxy, PyObject *name, const stoa_lesson *lesson)
{
    stoa_side *side = proxy->side;
    stoa_map_entry *entry = find_shape(side, proxy->owner, lesson->view.type);
    stoa_shape *shape = NULL;
    if (entry != NULL) {
        shape = (stoa_shape *)(uintptr_t)entry->value;
        stoa__handle_unref(lesson->type_handle);
    }
    else if (side->left || proxy->handle == 0) { /* released meanwhile, or ended */
        stoa__handle_unref(lesson->type_handle);
    }
    else {
        shape = new_shape(side, proxy->owner, lesson->view.type, lesson->type_handle);
    }
    stoa_class_function *function = shape == NULL ? NULL : malloc(sizeof(*function));
    if (shape != NULL) {
        take_shape(proxy, shape);
    }
    if (function == NULL || !grow(shape)) {
        stoa__handle_unref(lesson->function_handle);
        free(function);
        return;
    }
    *function = (stoa_class_function){1, lesson->function, lesson->function_handle};
    known *slot = find_name(shape->names, shape->room, name);
    stoa_class_function *before = slot->name == NULL ? NULL : slot->function;
    if (before == NULL) {
        slot->name = Py_NewRef(name);
        shape->count++;
    }
    else {
        stoa__class_function_unref(before);
    }
    slot->function = function;
    slot->view = lesson->view;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* The class of a proxy that has no shape yet may be known by another one's. The owner is held. */
static void
look_up(stoa_proxy_object *proxy)
{
    stoa_side *side = proxy->side;
    stoa_map_entry *entry = find_shape(side, proxy->owner, stoa__peek_type(proxy->object));
    proxy->shapes_seen = side->shapes_made;
    if (entry != NULL) {
        take_shape(proxy, (stoa_shape *)(uintptr_t)entry->value);
    }
}

stoa_class_function *
stoa__shape_find(stoa_proxy_object *proxy, PyObject *name)
{
    stoa_shape *shape = proxy->shape;
    if (shape == NULL && (proxy->side->shapes.count == 0 || proxy->shapes_seen == proxy->side->shapes_made)) {
        return NULL;
    }
    known *slot = NULL;
    if (shape != NULL &&
        (shape->room == 0 || (slot = find_name(shape->names, shape->room, name))->name == NULL)) {
        return NULL;
    }
    if (stoa__interp_enter(proxy->owner) != STOA_OK) {
        return NULL; /* the request says it */
    }
    if (shape == NULL) {
        look_up(proxy);
        shape = proxy->shape;
        slot = shape == NULL || shape->room == 0 ? NULL : find_name(shape->names, shape->room, name);
        slot = slot != NULL && slot->name == NULL ? NULL : slot;
    }
    bool stands = slot != NULL && stoa__method_stands(proxy->object, &slot->view);
    bool other = !stands && shape != NULL && stoa__peek_type(proxy->object) != shape->type;
    stoa__interp_leave(proxy->owner);
    if (other) {
        stoa__shape_drop(proxy);
    }
    return stands ? slot->function : NULL;
}
