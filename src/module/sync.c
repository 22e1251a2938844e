#include "module/sync.h"

#include <structmember.h>
#include <unistd.h>

#include "heap/process.h"
#include "immortal/exceptions.h"
#include "module/lock.h"
#include "proxy/wait.h"

static Py_ssize_t
find_name(PyObject *name, const char *const *names, Py_ssize_t most)
{
    for (Py_ssize_t i = 0; i < most; i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

int
stoa__sync_args(const char *function, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                const char *const *names, Py_ssize_t least, Py_ssize_t most, PyObject **out)
{
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    bool have[8] = {false};
    if (count > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        out[i] = args[i];
        have[i] = true;
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(keywords, i);
        Py_ssize_t at = find_name(name, names, most);
        if (at < 0 || have[at]) {
            PyErr_Format(PyExc_TypeError,
                         at < 0 ? "%s() got an unexpected keyword argument '%U'"
                                : "%s() got multiple values for argument '%U'",
                         function, name);
            return -1;
        }
        out[at] = args[count + i];
        have[at] = true;
    }
    for (Py_ssize_t i = 0; i < least; i++) {
        if (!have[i]) {
            PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'", function, names[i]);
            return -1;
        }
    }
    return 0;
}

int
stoa__sync_deadline(PyObject *timeout, stoa_deadline *out)
{
    if (stoa__module_deadline(timeout, out) < 0) {
        return -1;
    }
    if (timeout != NULL && timeout != Py_None && PyFloat_AsDouble(timeout) < 0) {
        PyErr_SetString(PyExc_ValueError, "'timeout' must be a non-negative number");
        return -1;
    }
    return 0;
}

static bool
is_settled(void *arg)
{
    return stoa__node_state(arg) != STOA_NODE_WAITING;
}

int
stoa__sync_wait(stoa_node *node, stoa_deadline deadline, const char *what)
{
    return stoa__wait_until(is_settled, node, deadline, NULL, what);
}

int
stoa__sync_node(PyObject *wrapper, stoa_node *node)
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        stoa__raise(STOA_ENOMEM);
        return -1;
    }
    stoa__node_init(node, self, ((stoa_thing_object *)wrapper)->side->record->serial);
    return 0;
}

PyObject *
stoa__sync_raise(const char *module_name, const char *name, const char *text)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *class = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    if (class != NULL && text != NULL) {
        PyErr_SetString(class, text);
    }
    else if (class != NULL) {
        PyErr_SetNone(class);
    }
    Py_XDECREF(class);
    Py_XDECREF(module);
    return NULL;
}

/* As a proxy's: good in this process, as long as somebody holds the thing. The standard library's queues between
 * interpreters fall back on it. */
PyObject *
stoa__sync_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    stoa_thing *thing = stoa__thing_get(self);
    PyObject *module = thing == NULL ? NULL : PyImport_ImportModule("stoa._stoa");
    PyObject *function = module == NULL ? NULL : PyObject_GetAttrString(module, "_unpickle_proxy");
    Py_XDECREF(module);
    return function == NULL ? NULL
                            : Py_BuildValue("(N(lKK))", function, (long)getpid(),
                                            (unsigned long long)(uintptr_t)stoa__process,
                                            (unsigned long long)thing->handle);
}

const char stoa__sync_enter_doc[] = "__enter__($self, /)\n--\n\nacquire()";
const char stoa__sync_exit_doc[] = "__exit__($self, /, *exc_info)\n--\n\nrelease()";

PyMemberDef stoa__sync_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(stoa_thing_object, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

typedef struct info_list {
    stoa_thing_info *infos;
    size_t count, room;
} info_list;

/* With the list of things locked: only copied. What came since it was counted is left out. */
static void
copy_info(const stoa_thing_info *info, void *arg)
{
    info_list *list = arg;
    if (list->count < list->room) {
        list->infos[list->count++] = *info;
    }
}

PyObject *
stoa__things_list(void)
{
    info_list all = {NULL, 0, (size_t)stoa__things_count()};
    all.infos = PyMem_New(stoa_thing_info, all.room + 1);
    PyObject *list = all.infos == NULL ? PyErr_NoMemory() : PyList_New(0);
    if (list != NULL) {
        stoa__things_each(copy_info, &all);
    }
    for (size_t i = 0; i < all.count && list != NULL; i++) {
        const stoa_thing_info *info = &all.infos[i];
        PyObject *entry = Py_BuildValue("{s:K,s:s,s:K,s:I,s:I,s:K,s:K,s:I,s:I,s:O}", "id",
                                        (unsigned long long)info->id, "kind", info->name, "handle",
                                        (unsigned long long)info->handle, "references", info->refs, "waiters",
                                        info->waiters, "depth", (unsigned long long)info->depth, "limit",
                                        (unsigned long long)info->limit, "holder", info->holder, "holder_in",
                                        info->holder_in, "broken", info->broken ? Py_True : Py_False);
        if (entry == NULL || PyList_Append(list, entry) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(entry);
    }
    PyMem_Free(all.infos);
    return list;
}

static const struct {
    stoa_thing_kind kind;
    PyTypeObject *(*make)(void);
    const char *name;
} kinds[] = {
    {STOA_THING_QUEUE, stoa__queue_type_new, "Queue"},
    {STOA_THING_LOCK, stoa__lock_type_new, "Lock"},
    {STOA_THING_RLOCK, stoa__rlock_type_new, "RLock"},
    {STOA_THING_EVENT, stoa__event_type_new, "Event"},
    {STOA_THING_CONDITION, stoa__condition_type_new, "Condition"},
    {STOA_THING_SEMAPHORE, stoa__semaphore_type_new, "Semaphore"},
    {STOA_THING_BOUNDED_SEMAPHORE, stoa__bounded_semaphore_type_new, "BoundedSemaphore"},
    {STOA_THING_BARRIER, stoa__barrier_type_new, "Barrier"},
};

/* When the library is loaded: in a C host a queue may come to an interpreter that never imports stoa. */
__attribute__((constructor)) static void
tell_kinds(void)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(kinds); i++) {
        stoa__thing_set_type(kinds[i].kind, kinds[i].make);
    }
}

int
stoa__module_add_sync(PyObject *module)
{
    stoa_side *side = stoa__side_of(stoa__module_state(module)->record);
    if (side == NULL) {
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(kinds); i++) {
        PyTypeObject *type = stoa__thing_type(side, kinds[i].kind);
        if (type == NULL || PyModule_AddObjectRef(module, kinds[i].name, (PyObject *)type) < 0) {
            return -1;
        }
    }
    return 0;
}
