#include "immortal/apart.h"

#include <stdlib.h>

#include "heap/error.h"
#include "immortal/canonical.h"
#include "immortal/exceptions.h"
#include "immortal/function.h"
#include "immortal/library_value.h"
#include "immortal/names_of.h"
#include "immortal/persist_view.h"
#include "immortal/reduce.h"

#define DEPTH_MAX \
    100000 /* parts of parts …: a __reduce__ that always gives a new object of its kind ends here */

stoa_apart *
stoa__apart_new(stoa_region *region)
{
    stoa_foreign_side *side = stoa__foreign_side();
    stoa_apart *apart = side == NULL ? NULL : calloc(1, sizeof(*apart));
    if (side != NULL && apart == NULL) {
        PyErr_NoMemory();
    }
    if (apart == NULL) {
        return NULL;
    }
    if (side->plan_count > STOA_PLANS_MAX) {
        stoa__plans_clear(side);
    }
    apart->side = side;
    apart->region = region;
    stoa__memo_init(&apart->found);
    apart->keep = PyList_New(0);
    apart->pending = apart->keep == NULL ? NULL : PyList_New(0);
    apart->identities = apart->pending == NULL ? NULL : PyDict_New();
    if (apart->identities == NULL) {
        stoa__apart_free(apart);
        return NULL;
    }
    return apart;
}

void
stoa__apart_free(stoa_apart *apart)
{
    if (apart == NULL) {
        return;
    }
    if (apart->beside_open) {
        stoa__batch_abort(&apart->beside);
    }
    PyObject *raised = PyErr_GetRaisedException(); /* dropping what was kept may run __del__ */
    apart->side->round++;
    stoa__memo_clear(&apart->found);
    Py_XDECREF(apart->keep);
    Py_XDECREF(apart->pending);
    Py_XDECREF(apart->identities);
    free(apart);
    PyErr_SetRaisedException(raised);
}

/* ---- what is laid beside ------------------------------------------------------------------------------------------- */

#define LAID \
    "stoa.laid" /* capsules: they cannot be mistaken for parts, and no Python code gets hold of a node */

stoa_batch *
stoa__apart_beside(stoa_apart *apart)
{
    if (!apart->beside_open) {
        stoa_err err = stoa__batch_begin(&apart->beside, apart->region, STOA_BATCH_INTERN);
        if (err != STOA_OK) {
            stoa__raise(err);
            return NULL;
        }
        apart->beside_open = true;
    }
    return &apart->beside;
}

PyObject *
stoa__apart_laid(stoa_shared *node)
{
    return PyCapsule_New(node, LAID, NULL);
}

stoa_shared *
stoa__apart_laid_node(PyObject *result)
{
    return PyCapsule_CheckExact(result) ? PyCapsule_GetPointer(result, LAID) : NULL;
}

stoa_err
stoa__apart_commit(stoa_apart *apart)
{
    if (apart == NULL || !apart->beside_open) {
        return STOA_OK;
    }
    apart->beside_open = false;
    stoa__batch_commit(&apart->beside);
    return apart->beside.err == STOA_OK
               ? STOA_OK
               : stoa__fail(apart->beside.err, "the process was forked by what was frozen; freeze it again");
}

/* ---- which one it is ----------------------------------------------------------------------------------------------- */

#define IDENTITY "stoa.identity"

PyObject *
stoa__apart_identity(stoa_apart *apart, PyObject *object)
{
    PyObject *key = PyLong_FromVoidPtr(object);
    PyObject *capsule = key == NULL ? NULL : Py_XNewRef(PyDict_GetItemWithError(apart->identities, key));
    if (key != NULL && capsule == NULL && !PyErr_Occurred()) {
        capsule = PyCapsule_New(object, IDENTITY, NULL);
        if (capsule != NULL &&
            (PyList_Append(apart->keep, object) < 0 || PyDict_SetItem(apart->identities, key, capsule) < 0)) {
            Py_CLEAR(capsule);
        }
    }
    Py_XDECREF(key);
    return capsule;
}

static bool
is_identity(PyObject *object)
{
    return PyCapsule_IsValid(object, IDENTITY);
}

static stoa_shared *
freeze_identity(stoa_batch *batch, PyObject *capsule, bool convert, const char **why)
{
    (void)capsule; /* the walk gives one capsule one node */
    (void)convert;
    (void)why;
    stoa_shared *nothing = NULL;
    return stoa__make_node(batch, STOA_NODE_IDENTITY, 0, &nothing, 1, 1);
}

static PyObject *
build_identity(const stoa_node *node, PyObject *const *parts)
{
    (void)node; /* what it stands for is made, and kept, by who made the node (make_function.c) */
    (void)parts;
    return Py_NewRef(Py_None);
}

const stoa_foreign_kind stoa__identity_kind = {.name = "identity",
                                               .build = build_identity,
                                               .known_elsewhere = true,
                                               .takes = is_identity,
                                               .freeze = freeze_identity};

/* ---- what was found ------------------------------------------------------------------------------------------------ */

bool
stoa__apart_note(stoa_apart *apart, PyObject *object)
{
    if (PyList_Append(apart->pending, object) < 0) {
        PyErr_Clear();
        return false;
    }
    return true;
}

PyObject *
stoa__apart_find(const stoa_apart *apart, const PyObject *object)
{
    return apart == NULL ? NULL : stoa__memo_find(&apart->found, object);
}

PyObject *
stoa__apart_result(stoa_node_kind kind, unsigned flags, size_t count, PyObject **parts)
{
    PyObject *result = PyTuple_New(2 + (Py_ssize_t)count);
    PyObject *numbers[2] = {PyLong_FromLong((long)kind), PyLong_FromUnsignedLong(flags)};
    bool good = result != NULL && numbers[0] != NULL && numbers[1] != NULL;
    for (size_t i = 0; i < count; i++) {
        good = good && parts[i] != NULL;
    }
    if (!good) {
        Py_CLEAR(result);
    }
    for (size_t i = 0; i < 2 + count; i++) {
        PyObject *part = i < 2 ? numbers[i] : parts[i - 2];
        if (good) {
            PyTuple_SET_ITEM(result, (Py_ssize_t)i, part);
        }
        else {
            Py_XDECREF(part);
        }
    }
    return result;
}

/* ---- the special ones ---------------------------------------------------------------------------------------------- */

PyObject *
stoa__take_member(PyObject *member)
{
    PyObject *path[2]; /* only to know that there is one: the error is about the member then */
    if (stoa__global_path((PyObject *)Py_TYPE(member), &path[0], &path[1]) < 0) {
        return NULL;
    }
    Py_DECREF(path[0]);
    Py_DECREF(path[1]);
    PyObject *class = Py_NewRef((PyObject *)Py_TYPE(member));
    PyObject *name = PyObject_GetAttrString(member, "_name_");
    PyObject *value = name == NULL ? NULL : PyObject_GetAttrString(member, "_value_");
    PyObject *map = value == NULL ? NULL : PyObject_GetAttrString(class, "_member_map_");
    if (map != NULL &&
        (!PyUnicode_CheckExact(name) || !PyDict_Check(map) || PyDict_GetItemWithError(map, name) != member)) {
        Py_SETREF(name, Py_NewRef(Py_None)); /* of several flags: made from its value */
    }
    Py_XDECREF(map);
    if (PyErr_Occurred()) {
        Py_CLEAR(value);
    }
    PyObject *parts[3] = {class, name, value};
    return stoa__apart_result(STOA_NODE_MEMBER, STOA_NODE_VALUE, 3, parts);
}

static PyObject *
take_global(PyObject *object)
{
    PyObject *parts[2] = {NULL, NULL};
    if (stoa__global_path(object, &parts[0], &parts[1]) < 0) {
        return NULL;
    }
    return stoa__apart_result(STOA_NODE_GLOBAL, STOA_NODE_VALUE, 2, parts);
}

static PyObject *
take_module(PyObject *object)
{
    PyObject *name = PyModule_GetNameObject(object);
    PyObject *there = name == NULL ? NULL : PyImport_GetModule(name);
    if (name != NULL && there != object && !PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError,
                     "an import of %R does not find this module, so others cannot find it by name", name);
    }
    Py_XDECREF(there);
    if (PyErr_Occurred()) {
        Py_CLEAR(name);
    }
    return stoa__apart_result(STOA_NODE_MODULE, STOA_NODE_VALUE, 1, &name);
}

static PyObject *
take_twin(PyObject *object)
{
    PyObject *twin;
    if (PyDict_Check(object)) { /* in its own order: an OrderedDict may have moved things */
        PyObject *items = PyObject_CallMethod(object, "items", NULL);
        twin = items == NULL ? NULL : PyDict_New();
        if (twin != NULL && PyDict_MergeFromSeq2(twin, items, 1) < 0) {
            Py_CLEAR(twin);
        }
        Py_XDECREF(items);
    }
    else if (stoa__is_persistent(object)) {
        PyObject *dict = stoa__persist_as_dict(object, false);
        twin = dict == NULL ? NULL : stoa__frozendict_new(dict); /* share() takes it */
        Py_XDECREF(dict);
    }
    else {
        twin = PySequence_Tuple(object);
    }
    return stoa__apart_result(STOA_NODE_SAME, 0, 1, &twin);
}

/* register(type, reduce, rebuild): rebuild(payload) there. */
static PyObject *
take_registered(stoa_foreign_side *side, const stoa_plan *plan, PyObject *object)
{
    PyObject *entry = side->registered == NULL
                          ? NULL
                          : PyDict_GetItemWithError(side->registered, (PyObject *)Py_TYPE(object));
    if (entry == NULL) {
        return PyErr_Occurred() ? NULL : stoa__reduce(object, plan->flags); /* taken back meanwhile */
    }
    Py_INCREF(entry);
    PyObject *payload = PyObject_CallOneArg(PyTuple_GET_ITEM(entry, 0), object);
    PyObject *parts[STOA_CALL_PARTS] = {Py_NewRef(PyTuple_GET_ITEM(entry, 1)),
                                        payload == NULL ? NULL : PyTuple_Pack(1, payload),
                                        PyUnicode_FromString(".."),
                                        Py_NewRef(Py_None),
                                        Py_NewRef(Py_None),
                                        Py_NewRef(Py_None),
                                        Py_NewRef((PyObject *)Py_TYPE(object))};
    Py_XDECREF(payload);
    Py_DECREF(entry);
    return stoa__apart_result(STOA_NODE_CALL, plan->flags, STOA_CALL_PARTS, parts);
}

static PyObject *
take_kind(stoa_apart *apart, PyObject *object, bool *taken)
{
    for (unsigned i = 0; i < STOA_NODE_KINDS; i++) {
        const stoa_foreign_kind *kind = stoa__foreign_kind(i);
        if (kind == NULL || kind->takes == NULL || kind->reduce == NULL || !kind->takes(object)) {
            continue;
        }
        *taken = true;
        unsigned flags = 0;
        PyObject *parts = kind->reduce(object, apart, &flags), *result = NULL;
        if (parts != NULL && stoa__apart_laid_node(parts) != NULL) {
            return parts;
        }
        if (parts != NULL && !PyTuple_CheckExact(parts)) {
            PyErr_SetString(PyExc_SystemError, "stoa: a kind's reduce() gave no tuple");
        }
        else if (parts != NULL) {
            Py_ssize_t count = PyTuple_GET_SIZE(parts);
            PyObject *head = stoa__apart_result((stoa_node_kind)i, flags, 0, NULL);
            result = head == NULL || count < 0 ? NULL : PySequence_Concat(head, parts);
            Py_XDECREF(head);
        }
        Py_XDECREF(parts);
        return result;
    }
    *taken = false;
    return NULL;
}

/* NaN is equal to nothing, but is found by identity: two of them that are two keys must stay two. -1 with an exception. */
static int
is_unequal_to_itself(PyObject *object)
{
    PyObject *told = PyObject_RichCompare(object, object, Py_NE);
    int result = told == NULL ? -1 : PyObject_IsTrue(told);
    Py_XDECREF(told);
    if (result < 0 && PyErr_ExceptionMatches(PyExc_ArithmeticError)) { /* a NaN of decimal's that signals */
        PyErr_Clear();
        result = 1;
    }
    return result;
}

PyObject *
stoa__plan_reduce(const stoa_plan *plan, PyObject *object, unsigned flags)
{
    return plan->numpy != STOA_NUMPY_NOT ? stoa__numpy_apart(object, flags)
           : plan->amended               ? stoa__library_apart(object, flags)
                                         : stoa__reduce(object, flags);
}

/* What is to be frozen instead of one object: new reference to (kind, flags, part …) or a capsule, NULL with an exception. */
static PyObject *
take_apart(stoa_apart *apart, const stoa_plan *plan, PyObject *object)
{
    bool taken;
    PyObject *result = take_kind(apart, object, &taken);
    if (taken) {
        return result;
    }
    if (plan->registered) {
        return take_registered(apart->side, plan, object);
    }
    if (plan->twin) {
        return take_twin(object);
    }
    if (PyType_Check(object)) {
        return take_global(object);
    }
    if (PyFunction_Check(object)) {
        return stoa__function_apart(apart, object);
    }
    if (PyModule_Check(object)) {
        return take_module(object);
    }
    if (stoa__is_enumeration(Py_TYPE(object))) {
        return stoa__take_member(object);
    }
    unsigned flags = plan->flags;
    if (plan->odd && (flags & STOA_NODE_VALUE)) {
        int unequal = is_unequal_to_itself(object);
        if (unequal < 0) {
            return NULL;
        }
        flags &= unequal ? ~(unsigned)STOA_NODE_VALUE : ~0u;
    }
    return stoa__plan_reduce(plan, object, flags);
}

/* ---- the work list ------------------------------------------------------------------------------------------------- */

static int
keep(stoa_apart *apart, PyObject *object, PyObject *result)
{
    if (PyList_Append(apart->keep, object) < 0 || PyList_Append(apart->keep, result) < 0) {
        return -1;
    }
    if (!stoa__memo_put(&apart->found, object, result)) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* The exception that is set is about an object: the list [text, exception], for the walk to raise with its path.
 * `what`: what could not be done. NULL with the exception where that is one to be raised as it is. */
static PyObject *
failure_of(const char *what, bool always)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return NULL;
    }
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *text = PyObject_Str(raised);
    if (text != NULL && (always || !Py_IS_TYPE(raised, (PyTypeObject *)PyExc_TypeError))) { /* else one of ours */
        Py_SETREF(text, PyUnicode_FromFormat("%s: %.200s: %U", what, Py_TYPE(raised)->tp_name, text));
    }
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromString(what);
    }
    PyObject *failure = text == NULL ? NULL : PyList_New(2);
    if (failure != NULL) {
        PyList_SET_ITEM(failure, 0, Py_NewRef(text));
        PyList_SET_ITEM(failure, 1, Py_NewRef(raised));
    }
    Py_XDECREF(text);
    Py_DECREF(raised);
    return failure;
}

static int
keep_failure(stoa_apart *apart, PyObject *object)
{
    PyObject *failure = failure_of("cannot be taken apart", false);
    int result = failure == NULL ? -1 : keep(apart, object, failure);
    Py_XDECREF(failure);
    return result;
}

int
stoa__apart_refused(stoa_apart *apart, PyObject *container, PyObject *key, Py_ssize_t index)
{
    PyObject *failure = failure_of("cannot be a key: hashing or comparing it fails", true);
    PyObject *number = failure == NULL ? NULL : PyLong_FromSsize_t(index);
    int result = number == NULL || PyList_Append(failure, key) < 0 || PyList_Append(failure, number) < 0
                     ? -1
                     : keep(apart, container, failure);
    Py_XDECREF(number);
    Py_XDECREF(failure);
    return result;
}

/* Parts that need taking apart themselves are noted at once: a chain of them costs no attempt each. */
static int
note_parts(stoa_apart *apart, PyObject *result, PyObject *more)
{
    for (Py_ssize_t i = 2; PyTuple_CheckExact(result) && i < PyTuple_GET_SIZE(result); i++) {
        PyObject *part = PyTuple_GET_ITEM(result, i);
        Py_ssize_t count = PyTuple_CheckExact(part) ? PyTuple_GET_SIZE(part) : 0;
        for (Py_ssize_t k = -1; k < count; k++) {
            PyObject *item = k < 0 ? part : PyTuple_GET_ITEM(part, k);
            const stoa_plan *plan = stoa__plan_find(apart->side, Py_TYPE(item));
            if (plan != NULL && plan->how == STOA_HOW_APART && PyList_Append(more, item) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int
take_one(stoa_apart *apart, PyObject *object, PyObject *more)
{
    if (stoa__is_shared(object)) {
        return 0;
    }
    const stoa_plan *plan = stoa__plan_make(apart->side, object);
    if (plan == NULL) {
        return keep_failure(apart, object);
    }
    if (plan->how != STOA_HOW_APART || stoa__memo_find(&apart->found, object) != NULL) {
        return 0;
    }
    const stoa_plan copy = *plan; /* code may have the plan made anew */
    PyObject *result = take_apart(apart, &copy, object);
    if (result == NULL) {
        return keep_failure(apart, object);
    }
    int failed = keep(apart, object, result) < 0 || note_parts(apart, result, more) < 0;
    Py_DECREF(result);
    return failed ? -1 : 0;
}

int
stoa__apart_run(stoa_apart *apart)
{
    while (PyList_GET_SIZE(apart->pending) > 0) {
        PyObject *now = apart->pending;
        apart->pending = PyList_New(0);
        if (apart->pending == NULL) {
            apart->pending = now;
            return -1;
        }
        int failed = 0;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(now) && !failed; i++) {
            failed = take_one(apart, PyList_GET_ITEM(now, i), apart->pending) < 0;
        }
        Py_DECREF(now);
        if (failed) {
            return -1;
        }
        if (++apart->depth > DEPTH_MAX) {
            PyErr_Format(PyExc_RecursionError,
                         "what is frozen consists of parts that consist of parts, %d levels deep: does a "
                         "__reduce__ always give a new object?",
                         DEPTH_MAX);
            return -1;
        }
    }
    return 0;
}
