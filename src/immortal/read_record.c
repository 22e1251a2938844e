/* Reading nodes as what they stand for: objects of classes. See stoa/record.h. */
#include "stoa/record.h"

#include <string.h>

#include "heap/error.h"
#include "heap/hold.h"
#include "immortal/function_parts.h"
#include "immortal/read.h"

static const stoa_object *
part(const stoa_node *node, size_t index)
{
    return (const stoa_object *)node->parts[index];
}

/* A name, NULL where there is none, and what it stands for: where the caller wants them. */
static stoa_err
give(const stoa_object *name, const stoa_object *value, const char **out_name, const stoa_object **out_value)
{
    const char *text = NULL;
    if (out_name != NULL && name != NULL) {
        stoa_err err = stoa_get_text(name, &text, NULL);
        if (err != STOA_OK) {
            return err;
        }
    }
    if (out_name != NULL) {
        *out_name = text;
    }
    if (out_value != NULL) {
        *out_value = value;
    }
    return STOA_OK;
}

/* ---- class ------------------------------------------------------------------------------------------------------- */

/* The GLOBAL or MODULE node that says where the class of a node is found, a tuple of two names, or a builtin type. NULL:
 * nothing does. */
static const PyObject *
class_of(const stoa_node *node)
{
    const PyObject *class = (const PyObject *)node;
    switch ((stoa_node_kind)node->kind) {
    case STOA_NODE_GLOBAL:
    case STOA_NODE_MODULE:
        return class;
    case STOA_NODE_RECORD: /* its shape, whose first part is the class */
        class = ((const stoa_node *)(const void *)node->parts[0])->parts[0];
        break;
    case STOA_NODE_NAMED:
    case STOA_NODE_MEMBER:
        class = node->parts[0];
        break;
    case STOA_NODE_CALL:
        class = node->parts[6];
        break;
    default:
        return NULL;
    }
    return class == Py_None ? NULL : class;
}

/* Of a function by value, from its description: the first of its functions is itself. */
static stoa_err
function_name(const stoa_node *node, const char **out_module, const char **out_qualname)
{
    const stoa_object *functions, *itself, *module, *qualname;
    const char *text = NULL;
    stoa_err err = stoa_tuple_item(part(node, 0), 0, &functions);
    err = err == STOA_OK ? stoa_tuple_item(functions, 0, &itself) : err;
    err = err == STOA_OK ? stoa_tuple_item(itself, MODULE, &module) : err;
    err = err == STOA_OK ? stoa_tuple_item(itself, QUALNAME, &qualname) : err;
    err = err == STOA_OK ? stoa_get_text(module, &text, NULL) : err;
    err = err == STOA_OK ? stoa_get_text(qualname, out_qualname, NULL) : err;
    if (err == STOA_OK) {
        *out_module = text;
    }
    return err;
}

stoa_err
stoa_get_class(const stoa_object *object, const char **out_module, const char **out_qualname)
{
    const PyObject *o = (const PyObject *)object;
    if (out_module == NULL || out_qualname == NULL) {
        return stoa__null_out(__func__);
    }
    if (stoa_object_kind(object) == STOA_KIND_FUNCTION) {
        return function_name((const stoa_node *)(const void *)o, out_module, out_qualname);
    }
    if (stoa_object_kind(object) < STOA_KIND_RECORD || stoa_object_kind(object) > STOA_KIND_GLOBAL) {
        return stoa__wrong_kind(__func__, object, "an object of a class");
    }
    const PyObject *class = class_of((const stoa_node *)(const void *)o);
    if (class == NULL) {
        return stoa__fail(STOA_ENOTFOUND, "%s: what makes this object is no class that is named", __func__);
    }
    const char *module = "builtins", *qualname = "";
    stoa_err err = STOA_OK;
    if (stoa__is_node(class)) {
        const stoa_node *name = (const stoa_node *)(const void *)class;
        err = stoa_get_text(part(name, 0), &module, NULL);
        if (err == STOA_OK && name->kind == STOA_NODE_GLOBAL) {
            err = stoa_get_text(part(name, 1), &qualname, NULL);
        }
    }
    else if (PyTuple_CheckExact(class)) {
        err = stoa_get_text((const stoa_object *)PyTuple_GET_ITEM(class, 0), &module, NULL);
        err = err == STOA_OK ? stoa_get_text((const stoa_object *)PyTuple_GET_ITEM(class, 1), &qualname, NULL)
                             : err;
    }
    else { /* a static type of all interpreters: those of datetime say their module */
        qualname = ((const PyTypeObject *)(const void *)class)->tp_name;
        if (strncmp(qualname, "datetime.", 9) == 0) {
            module = "datetime";
            qualname += 9;
        }
    }
    if (err == STOA_OK) {
        *out_module = module;
        *out_qualname = qualname;
    }
    return err;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

stoa_err
stoa_record_field(const stoa_object *record, size_t index, const char **out_name, const stoa_object **out_value)
{
    const stoa_node *node = stoa__as_node(record, STOA_KIND_RECORD);
    if (node == NULL) {
        return stoa__wrong_kind(__func__, record, "record");
    }
    if (index >= node->count - 1) {
        return stoa__fail(STOA_ENOTFOUND, "%s: no attribute %zu, it has %zu", __func__, index, node->count - 1);
    }
    const stoa_node *shape = (const stoa_node *)(const void *)node->parts[0];
    return give(part(shape, 1 + index), part(node, 1 + index), out_name, out_value);
}

stoa_err
stoa_record_get(const stoa_object *record, const char *name, const stoa_object **out_value)
{
    const stoa_node *node = stoa__as_node(record, STOA_KIND_RECORD);
    if (name == NULL || out_value == NULL) {
        return stoa__fail(STOA_EINVAL, "%s: name or out_value is NULL", __func__);
    }
    if (node == NULL) {
        return stoa__wrong_kind(__func__, record, "record");
    }
    const stoa_node *shape = (const stoa_node *)(const void *)node->parts[0];
    size_t size = strlen(name), own_size;
    for (size_t i = 1; i < node->count; i++) {
        const char *own;
        if (stoa_get_text(part(shape, i), &own, &own_size) == STOA_OK && own_size == size &&
            memcmp(own, name, size) == 0) {
            *out_value = part(node, i);
            return STOA_OK;
        }
    }
    return STOA_ENOTFOUND;
}

/* ---- others ------------------------------------------------------------------------------------------------------ */

stoa_err
stoa_get_member(const stoa_object *member, const char **out_name, const stoa_object **out_value)
{
    const stoa_node *node = stoa__as_node(member, STOA_KIND_MEMBER);
    if (node == NULL) {
        return stoa__wrong_kind(__func__, member, "member of an enumeration");
    }
    bool named = stoa_object_kind(part(node, 1)) == STOA_KIND_TEXT;
    return give(named ? part(node, 1) : NULL, part(node, 2), out_name, out_value);
}

stoa_err
stoa_get_arguments(const stoa_object *instance, const stoa_object **out_arguments)
{
    const stoa_node *node = stoa__as_node(instance, STOA_KIND_INSTANCE);
    stoa_err err = stoa__readable(__func__, out_arguments != NULL, node, instance, "instance");
    if (err != STOA_OK) {
        return err;
    }
    *out_arguments = part(node, 1);
    return STOA_OK;
}

stoa_err
stoa_get_handle(const stoa_object *object, stoa_handle *out_handle)
{
    const stoa_node *node = stoa__as_node(object, STOA_KIND_HANDLE);
    stoa_err err = stoa__readable(__func__, out_handle != NULL, node, object, "handle");
    if (err != STOA_OK) {
        return err;
    }
    err = stoa__handle_ref_held(stoa__handle_of_node(node)); /* the object holds one, too */
    return err != STOA_OK ? err : stoa__hold_new(stoa__handle_of_node(node), out_handle);
}
