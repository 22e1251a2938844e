#include "immortal/fields.h"

#include <stdlib.h>
#include <string.h>

#include "heap/process.h"
#include "immortal/names_of.h"

static const uint8_t *
order_bytes(const stoa_instance *instance)
{
    return instance->step > 0 || instance->count == 0 ? instance->order
                                                      : instance->order - (instance->count - 1);
}

/* ---- shapes met before --------------------------------------------------------------------------------------------- */

static bool
has_names(const stoa_known_shape *known, const stoa_str_entry *entries)
{
    for (size_t i = 0; i < known->count; i++) {
        if (known->names[i] != entries[i].key) {
            return false;
        }
    }
    return true;
}

static bool
fits(const stoa_known_shape *known, const stoa_fields *fields)
{
    const stoa_instance *instance = &fields->instance;
    if (known->shape == NULL || known->present != fields->present || known->count != instance->count) {
        return false;
    }
    return instance->entries != NULL
               ? has_names(known, instance->entries)
               : known->keys == instance->keys &&
                     (known->count == 0 || memcmp(known->order, order_bytes(instance), known->count) == 0);
}

/* Names in the heap are not kept, since their region may go. */
static bool
is_knowable(const stoa_instance *instance)
{
    bool knowable = instance->dict == NULL && instance->count <= STOA_ORDER_MAX;
    for (size_t i = 0; knowable && instance->entries != NULL && i < instance->count; i++) {
        knowable = !stoa__in_heap(instance->entries[i].key);
    }
    return knowable;
}

static void
know(stoa_known_shape *known, const stoa_fields *fields, stoa_shared *shape)
{
    const stoa_instance *instance = &fields->instance;
    if (instance->entries != NULL) {
        for (size_t i = 0; i < known->count; i++) {
            Py_DECREF(known->names[i]);
        }
        for (size_t i = 0; i < instance->count; i++) {
            known->names[i] = Py_NewRef(instance->entries[i].key);
        }
    }
    else if (instance->count > 0) {
        memcpy(known->order, order_bytes(instance), instance->count);
    }
    known->keys = instance->keys;
    known->count = instance->count;
    known->present = fields->present;
    known->shape = shape;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

/* The names of the attributes: false: no memory. */
static bool
make_names(stoa_batch *batch, const stoa_instance *instance, stoa_shared **out)
{
    Py_ssize_t position = 0;
    for (size_t i = 0; i < instance->count; i++) {
        PyObject *name = NULL;
        if (instance->keys != NULL) {
            name = stoa__instance_name(instance, i);
        }
        else if (instance->entries != NULL) {
            name = instance->entries[i].key;
        }
        else {
            (void)PyDict_Next(instance->dict, &position, &name, NULL);
        }
        out[i] = stoa__make_text_of(batch, name);
        if (out[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* `parts`: room for 1 + count. */
static stoa_shared *
make_shape(stoa_batch *batch, const stoa_plan *plan, const stoa_fields *fields, stoa_shared **parts)
{
    size_t count = 0;
    parts[count++] = plan->class_node;
    for (size_t i = 0; i < plan->slot_count; i++) {
        if (fields->present >> i & 1) {
            parts[count++] = plan->slots[i].name;
        }
    }
    return make_names(batch, &fields->instance, parts + count)
               ? stoa__make_node(batch, STOA_NODE_SHAPE, STOA_NODE_VALUE, parts, 1 + fields->count, 0)
               : NULL;
}

stoa_shared *
stoa__fields_shape(stoa_plan *plan, const stoa_fields *fields)
{
    const stoa_instance *instance = &fields->instance;
    stoa_known_shape *known = instance->entries != NULL ? &plan->named : &plan->apart;
    if (instance->dict == NULL && fits(known, fields)) {
        return known->shape;
    }
    stoa_shared **parts = malloc((1 + fields->count) * sizeof(*parts));
    stoa_batch batch;
    if (parts == NULL || stoa__batch_begin(&batch, NULL, STOA_BATCH_INTERN) != STOA_OK) {
        free(parts);
        return NULL;
    }
    stoa_shared *shape = make_shape(&batch, plan, fields, parts);
    free(parts);
    if (shape == NULL) {
        stoa__batch_abort(&batch);
        return NULL;
    }
    stoa__batch_commit(&batch);
    if (is_knowable(instance)) {
        know(known, fields, shape);
    }
    return shape;
}
