#include "immortal/plan.h"

#include <stdlib.h>
#include <string.h>

#include "heap/region.h"
#include "immortal/by_value.h"
#include "immortal/exceptions.h"
#include "immortal/freeze.h"
#include "immortal/late.h"
#include "immortal/library_value.h"
#include "immortal/names_of.h"

/* ---- the cache ----------------------------------------------------------------------------------------------------- */

stoa_plan *
stoa__plan_find(stoa_foreign_side *side, PyTypeObject *type)
{
    stoa_plan *plan = stoa__memo_find(&side->plans, type);
    if (plan == NULL || plan->round == side->round) {
        return plan; /* made for the freeze that is under way, which holds an instance */
    }
    return plan->version != 0 && plan->version == type->tp_version_tag ? plan : NULL;
}

static void
free_plan(stoa_plan *plan)
{
    for (size_t i = 0; plan != NULL && i < plan->named.count; i++) {
        Py_DECREF(plan->named.names[i]); /* a str: no code runs */
    }
    free(plan);
}

void
stoa__plans_clear(stoa_foreign_side *side)
{
    for (size_t i = 0; side->plans.table != NULL && i <= side->plans.table_mask; i++) {
        free_plan(side->plans.table[i].twin);
    }
    stoa__memo_clear(&side->plans);
    stoa__memo_init(&side->plans);
    side->plan_count = 0;
}

void
stoa__plans_outdate(stoa_foreign_side *side)
{
    for (size_t i = 0; side->plans.table != NULL && i <= side->plans.table_mask; i++) {
        stoa_plan *plan = side->plans.table[i].twin;
        if (plan != NULL) {
            plan->version = 0;
            plan->round = side->round - 1;
        }
    }
}

static bool
keep_plan(stoa_foreign_side *side, stoa_plan *plan)
{
    void *before = stoa__memo_find(&side->plans, plan->type);
    if (!stoa__memo_put(&side->plans, plan->type, plan)) {
        return false;
    }
    side->plan_count += before == NULL;
    free_plan(before);
    return true;
}

/* ---- looking at a class -------------------------------------------------------------------------------------------- */

/* Of those whose objects are containers and values for the walk, or NumPy's: what their methods say is not about a class
 * derived from them. Others, datetime's for instance, take their derived classes' objects apart as well. */
static bool
speaks_for_itself_only(const PyTypeObject *base)
{
    return !(base->tp_flags & Py_TPFLAGS_HEAPTYPE) &&
           (strchr(base->tp_name, '.') == NULL || strncmp(base->tp_name, "numpy.", 6) == 0);
}

/* What the classes in the MRO have under a name, without `object` and, with `derived`, without bases that speak for themselves
 * only: borrowed, NULL: nothing (no exception is left). */
static PyObject *
find_attribute(PyTypeObject *type, const char *name, bool derived)
{
    PyObject *mro = type->tp_mro;
    for (Py_ssize_t i = 0; mro != NULL && i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (base == &PyBaseObject_Type || (derived && base != type && speaks_for_itself_only(base))) {
            continue;
        }
        PyObject *dict = PyType_GetDict(base);
        PyObject *found = dict == NULL ? NULL : PyDict_GetItemString(dict, name);
        Py_XDECREF(dict);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static PyObject *
own_attribute(PyTypeObject *type, const char *name)
{
    return find_attribute(type, name, false);
}

/* What @dataclass(slots=True) adds for pickle does what we do. */
static bool
is_of_dataclasses(PyObject *function)
{
    if (!PyFunction_Check(function)) {
        return false;
    }
    PyObject *module = PyFunction_GetModule(function);
    return module != NULL && PyUnicode_Check(module) &&
           PyUnicode_CompareWithASCIIString(module, "dataclasses") == 0;
}

static bool
has_protocol(PyTypeObject *type)
{
    static const char *const names[] = {"__reduce__",   "__reduce_ex__",  "__getstate__",
                                        "__setstate__", "__getnewargs__", "__getnewargs_ex__"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *found = find_attribute(type, names[i], true);
        if (found != NULL && !is_of_dataclasses(found)) {
            return true;
        }
    }
    PyObject *table = stoa__import_attribute("copyreg", "dispatch_table");
    bool there = table != NULL && PyDict_Check(table) && PyDict_Contains(table, (PyObject *)type) == 1;
    Py_XDECREF(table);
    PyErr_Clear();
    return there;
}

/* Made by class statements, down to object, its state in slots and __dict__ only? Collects the slots. */
static bool
is_plain(PyTypeObject *type, stoa_slot *slots, const char **names, size_t *out_count)
{
    size_t count = 0;
    Py_ssize_t size = sizeof(PyObject);
    for (PyTypeObject *t = type; t != &PyBaseObject_Type; t = t->tp_base) {
        if (t == NULL || !(t->tp_flags & Py_TPFLAGS_HEAPTYPE) || t->tp_itemsize != 0) {
            return false;
        }
        for (const PyMemberDef *member = t->tp_members; member != NULL && member->name != NULL; member++) {
            if (member->type != Py_T_OBJECT_EX || member->flags != 0 || count == STOA_PLAN_SLOTS) {
                return false;
            }
            slots[count].offset = member->offset;
            names[count++] = member->name;
            size += (Py_ssize_t)sizeof(PyObject *);
        }
    }
    size += type->tp_dictoffset > 0 ? (Py_ssize_t)sizeof(PyObject *) : 0;
    size += type->tp_weaklistoffset > 0 ? (Py_ssize_t)sizeof(PyObject *) : 0;
    *out_count = count;
    return type->tp_basicsize == size && type->tp_new == PyBaseObject_Type.tp_new &&
           (type->tp_dictoffset == 0 || type->tp_flags & Py_TPFLAGS_MANAGED_DICT);
}

bool
stoa__is_plain_class(PyTypeObject *type)
{
    stoa_slot slots[STOA_PLAN_SLOTS];
    const char *names[STOA_PLAN_SLOTS];
    size_t count;
    return is_plain(type, slots, names, &count);
}

static bool
is_hashed_by_value(const PyTypeObject *type)
{
    return type->tp_hash != PyBaseObject_Type.tp_hash && type->tp_hash != PyObject_HashNotImplemented;
}

bool
stoa__is_data(PyTypeObject *type)
{
    return own_attribute(type, "__dataclass_fields__") != NULL;
}

bool
stoa__is_frozen_data(PyTypeObject *type)
{
    PyObject *params = own_attribute(type, "__dataclass_params__");
    PyObject *frozen = params == NULL ? NULL : PyObject_GetAttrString(params, "frozen");
    bool result = frozen == Py_True;
    Py_XDECREF(frozen);
    PyErr_Clear();
    return result;
}

static bool
is_standard(PyTypeObject *type)
{
    PyObject *module = stoa__text_attribute((PyObject *)type, "__module__");
    PyObject *names = module == NULL ? NULL : PySys_GetObject("stdlib_module_names");
    PyObject *root = NULL;
    if (names != NULL) {
        Py_ssize_t length = PyUnicode_GET_LENGTH(module), dot = PyUnicode_FindChar(module, '.', 0, length, 1);
        root = PyUnicode_Substring(module, 0, dot < 0 ? length : dot);
    }
    bool result = root != NULL && PySequence_Contains(names, root) == 1 &&
                  PyUnicode_CompareWithASCIIString(root, "__main__") != 0;
    Py_XDECREF(root);
    Py_XDECREF(module);
    PyErr_Clear();
    return result;
}

static bool
is_named_tuple(PyTypeObject *type)
{
    PyObject *fields = own_attribute(type, "_fields");
    return PyType_IsSubtype(type, &PyTuple_Type) && fields != NULL && PyTuple_Check(fields) &&
           type->tp_basicsize == PyTuple_Type.tp_basicsize && type->tp_dictoffset == 0;
}

/* Of collections: what stands for it is a builtin container. */
static bool
has_twin(PyTypeObject *type)
{
    static const char *const names[] = {"deque", "OrderedDict", "defaultdict", "Counter"};
    bool same = false;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names) && !same; i++) {
        PyObject *class = stoa__import_attribute("collections", names[i]);
        same = class == (PyObject *)type;
        Py_XDECREF(class);
    }
    PyErr_Clear();
    return same;
}

bool
stoa__is_enumeration(PyTypeObject *type)
{
    PyObject *meta = stoa__import_attribute("enum", "EnumMeta");
    bool result = meta != NULL && PyObject_TypeCheck((PyObject *)type, (PyTypeObject *)meta);
    Py_XDECREF(meta);
    PyErr_Clear();
    return result;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

static void
classify_plain(stoa_plan *plan, PyTypeObject *type, bool frozen)
{
    plan->how = STOA_HOW_RECORD;
    plan->mutable = !frozen;
    plan->flags = frozen ? 0 : STOA_NODE_CHANGEABLE;
    if (frozen && is_hashed_by_value(type)) {
        plan->flags |= STOA_NODE_VALUE;
    }
}

static bool
is_numpy(stoa_plan *plan, PyTypeObject *type)
{
    plan->numpy = (uint8_t)stoa__numpy_kind(type);
    return plan->numpy != STOA_NUMPY_NOT;
}

/* `says`: it says of itself what it is made of. */
static void
classify_numpy(stoa_plan *plan, bool says)
{
    bool value = plan->numpy == STOA_NUMPY_SCALAR || plan->numpy == STOA_NUMPY_DTYPE;
    plan->flags = value ? STOA_NODE_VALUE : STOA_NODE_CHANGEABLE;
    plan->mutable = !value;
    plan->odd = plan->numpy == STOA_NUMPY_SCALAR;
    if (plan->numpy == STOA_NUMPY_FOREIGN) {
        plan->numpy = STOA_NUMPY_NOT;
        plan->how = says ? STOA_HOW_APART : STOA_HOW_REFUSE;
        if (!says) {
            PyErr_SetString(
                PyExc_TypeError,
                "its class is derived from numpy.ndarray, and may hold more than items: put stoa.array(x) in "
                "its place for those, or say with stoa.register() what else of it is kept");
        }
    }
}

/* Objects of these types cannot change, or are known by what they are and not by what they hold. */
static bool
is_settled(PyTypeObject *type)
{
    return PyType_IsSubtype(type, &PyType_Type) || type == &PyFunction_Type || type == &PyCFunction_Type ||
           PyType_IsSubtype(type, &PyModule_Type) || type == &PyMethod_Type || stoa__is_enumeration(type);
}

/* 0; -1 with an exception. */
static int
classify(stoa_foreign_side *side, stoa_plan *plan, PyObject *object, const char **slot_names)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject *registered = side->registered == NULL
                               ? NULL
                               : PyDict_GetItemWithError(side->registered, (PyObject *)type);
    bool known = registered != NULL, taken_apart = known && PyTuple_GET_ITEM(registered, 0) != Py_None;
    bool plain = is_plain(type, plan->slots, slot_names, &plan->slot_count) && !has_protocol(type);
    bool data = stoa__is_data(type), amended = stoa__library_amends(type);
    plan->how = STOA_HOW_APART;
    plan->flags = is_hashed_by_value(type) ? STOA_NODE_VALUE : STOA_NODE_CHANGEABLE;
    plan->mutable = !is_hashed_by_value(type);
    if (known) {
        plan->registered = taken_apart;
        plan->mutable = false;
        if (!plan->registered && plain) {
            classify_plain(plan, type, stoa__is_frozen_data(type));
            plan->mutable = false;
        }
    }
    else if (type->tp_new == NULL && PyType_IsSubtype(type, &PyTuple_Type) && !amended) { /* sys.asyncgen_hooks */
        plan->how = STOA_HOW_REFUSE;
        PyErr_SetString(PyExc_TypeError, "its type makes no instances: freeze tuple(x)");
    }
    else if (is_settled(type)) {
        plan->flags = STOA_NODE_VALUE;
        plan->mutable = false;
    }
    else if (has_twin(type)) {
        plan->twin = plan->mutable = true;
    }
    else if (stoa__is_late_type(type)) { /* of another region, else it is not taken apart */
        plan->twin = true;
        plan->mutable = false;
    }
    else if (stoa__is_library_value(type)) { /* some of them are hashed by identity */
        plan->flags &= ~(unsigned)STOA_NODE_CHANGEABLE;
        plan->mutable = false;
        plan->odd = strcmp(type->tp_name, "decimal.Decimal") == 0;
    }
    else if (is_numpy(plan, type)) {
        classify_numpy(plan, has_protocol(type));
    }
    else if (is_named_tuple(type)) {
        plan->how = STOA_HOW_NAMED;
        plan->mutable = false;
    }
    else if (amended) {
        plan->amended = true;
    }
    else if (data && plain) {
        classify_plain(plan, type, stoa__is_frozen_data(type));
    }
    else if (PyType_IsSubtype(type, (PyTypeObject *)PyExc_BaseException)) {
        plan->mutable = false;
    }
    else if (PyIter_Check(object) || strncmp(type->tp_name, "_io.", 4) == 0 ||
             !(data || has_protocol(type) || is_standard(type))) {
        plan->how = STOA_HOW_REFUSE;
        if (own_attribute(type, "__arrow_c_array__") != NULL) {
            PyErr_SetString(PyExc_TypeError,
                            "it is an Arrow array: put what stoa.array() makes of it in its place");
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Text and the GLOBAL node of the class live in the default region: classes are finite, and many graphs name them. */
static int
lay_names(stoa_plan *plan, PyTypeObject *type, const char *const *slot_names)
{
    PyObject *module, *qualname;
    if (stoa__global_path((PyObject *)type, &module, &qualname) < 0) {
        return -1;
    }
    stoa_batch batch;
    stoa_err err = stoa__batch_begin(&batch, NULL, STOA_BATCH_INTERN);
    if (err != STOA_OK) {
        Py_DECREF(module);
        Py_DECREF(qualname);
        stoa__raise(err);
        return -1;
    }
    stoa_shared *parts[2] = {stoa__make_text_of(&batch, module), stoa__make_text_of(&batch, qualname)};
    plan->class_node = parts[0] == NULL || parts[1] == NULL
                           ? NULL
                           : stoa__make_node(&batch, STOA_NODE_GLOBAL, STOA_NODE_VALUE, parts, 2, 0);
    bool good = plan->class_node != NULL;
    for (size_t i = 0; i < plan->slot_count && good; i++) {
        plan->slots[i].name = stoa__make_str_utf8(&batch, slot_names[i], strlen(slot_names[i]));
        good = plan->slots[i].name != NULL;
    }
    err = batch.err;
    if (good) {
        stoa__batch_commit(&batch);
    }
    else {
        stoa__batch_abort(&batch);
        stoa__raise(err);
    }
    Py_DECREF(module);
    Py_DECREF(qualname);
    return good ? 0 : -1;
}

/* The exception that is set becomes the plan's refusal. */
static void
refuse_with_message(stoa_plan *plan)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *text = PyObject_Str(raised);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    snprintf(plan->why, sizeof(plan->why), "%s", utf8 == NULL ? "cannot be found by its name" : utf8);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_DECREF(raised);
    plan->how = STOA_HOW_REFUSE;
}

stoa_plan *
stoa__plan_make(stoa_foreign_side *side, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    stoa_plan *plan = stoa__plan_find(side, type);
    if (plan != NULL) {
        return plan;
    }
    const char *slot_names[STOA_PLAN_SLOTS];
    plan = calloc(1, sizeof(*plan));
    if (plan == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    (void)PyUnstable_Type_AssignVersionTag(type);
    plan->type = type;
    plan->version = type->tp_version_tag;
    plan->round = side->round;
    int result = classify(side, plan, object, slot_names);
    if (result == 0 && (plan->how == STOA_HOW_RECORD || plan->how == STOA_HOW_NAMED)) {
        result = lay_names(plan, type, slot_names);
    }
    if (result < 0 && PyErr_ExceptionMatches(PyExc_TypeError)) {
        refuse_with_message(plan);
        result = 0;
    }
    if (plan->how == STOA_HOW_REFUSE) {
        plan->version = 0; /* it may be importable, or registered, next time */
    }
    if (result == 0 && !keep_plan(side, plan)) {
        PyErr_NoMemory();
        result = -1;
    }
    if (result < 0) {
        free(plan);
        return NULL;
    }
    return plan;
}
