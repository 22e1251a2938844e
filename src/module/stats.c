#include "module/module.h"

#include "heap/guard.h"
#include "heap/names.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "heap/region.h"
#include "host/pool.h"
#include "immortal/exceptions.h"
#include "module/region.h"
#include "module/sync.h"
#include "proxy/proxy.h"
#include "stoa/region.h"

/* Steals `value`. */
static int
put(PyObject *dict, const char *key, PyObject *value)
{
    int result = value == NULL ? -1 : PyDict_SetItemString(dict, key, value);
    Py_XDECREF(value);
    return result;
}

static PyObject *
counters(void)
{
    PyObject *dict = PyDict_New();
    int result = dict == NULL ? -1 : 0;
#define ADD_COUNTER(name, meaning)                                                                    \
    if (result == 0) {                                                                                \
        result = put(dict, #name,                                                                     \
                     PyLong_FromUnsignedLongLong(STOA_COUNTER_READ(&stoa__process->counters, name))); \
    }
    STOA_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
    if (result < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

static void
add_interpreter(stoa_interp_record *record, void *arg)
{
    PyObject *list = arg;
    static const char *const states[] = {"?", "live", "closing", "gone"};
    PyObject *entry = PyErr_Occurred() ? NULL
                                       : Py_BuildValue("{s:L,s:s,s:s,s:I}", "id", (long long)record->python_id,
                                                       "name", record->name, "state", states[record->state],
                                                       "inside", (unsigned)stoa__interp_inside(record));
    if (entry != NULL) {
        (void)PyList_Append(list, entry);
        Py_DECREF(entry);
    }
}

static PyObject *
interpreters(void)
{
    PyObject *list = PyList_New(0);
    stoa_err err = list == NULL ? STOA_OK : stoa__interp_each(add_interpreter, list);
    if (err != STOA_OK) {
        stoa__raise(err);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(list);
    }
    return list;
}

static void
add_region(stoa_region *region, void *arg)
{
    PyObject *list = arg;
    stoa_region_info info = {.size = sizeof(info)};
    if (PyErr_Occurred()) {
        return;
    }
    stoa_err err = stoa_region_get_info(region, &info);
    if (err != STOA_OK) {
        stoa__raise(err);
        return;
    }
    PyObject *figures = stoa__region_figures(&info);
    if (figures != NULL) {
        (void)PyList_Append(list, figures);
        Py_DECREF(figures);
    }
}

/* All of them by ascending id, so that the default region comes first. */
static PyObject *
regions(void)
{
    PyObject *list = PyList_New(0);
    if (list != NULL) {
        stoa__region_each(add_region, list);
        if (PyErr_Occurred()) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *
guard(void)
{
    static const char *const modes[] = {"off", "tolerate", "strict"};
    return Py_BuildValue("{s:s,s:K}", "mode", modes[stoa__guard_get_mode()], "tolerated",
                         (unsigned long long)stoa__guard_tolerated());
}

/* Process-wide: objects held by handle, and those let go that await their owner. This interpreter: living proxies in it, and
 * objects of its own that others know. */
static PyObject *
proxies(PyObject *module)
{
    const stoa_counters *counters = &stoa__process->counters;
    uint64_t released = STOA_COUNTER_READ(counters, handles_released); /* first: it never passes the other */
    uint64_t made = STOA_COUNTER_READ(counters, handles_made);
    stoa_side *side = stoa__side_of(stoa__module_state(module)->record);
    if (side == NULL) {
        return NULL;
    }
    return Py_BuildValue("{s:K,s:n,s:n}", "handles", (unsigned long long)(made - released), "held_here",
                         (Py_ssize_t)side->imports.count, "known_elsewhere", (Py_ssize_t)side->exports.count);
}

/* Called without a lock. */
static void
add_executor(const stoa_pool_figures *figures, void *arg)
{
    PyObject *list = arg;
    PyObject *entry = PyErr_Occurred()
                          ? NULL
                          : Py_BuildValue("{s:K,s:s,s:I,s:I,s:I,s:K,s:K,s:O,s:O}", "id",
                                          (unsigned long long)figures->id, "name", figures->name,
                                          "max_workers", figures->max_workers, "workers", figures->workers,
                                          "idle", figures->idle, "queued", (unsigned long long)figures->queued,
                                          "done", (unsigned long long)figures->done, "shut",
                                          figures->shut ? Py_True : Py_False, "broken",
                                          figures->broken ? Py_True : Py_False);
    if (entry != NULL) {
        (void)PyList_Append(list, entry);
        Py_DECREF(entry);
    }
}

/* Newest first; one that nobody holds any more is there until its last worker is closed. */
static PyObject *
executors(void)
{
    PyObject *list = PyList_New(0);
    if (list != NULL) {
        stoa__pools_each(add_executor, list);
        if (PyErr_Occurred()) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* "regions": every one; "region": the default one. */
static int
put_regions(PyObject *dict)
{
    PyObject *list = regions();
    PyObject *first = list != NULL && PyList_GET_SIZE(list) > 0 ? Py_NewRef(PyList_GET_ITEM(list, 0)) : NULL;
    if (put(dict, "regions", list) < 0) {
        Py_XDECREF(first);
        return -1;
    }
    return put(dict, "region", first);
}

PyDoc_STRVAR(stats_doc, "stats($module, /)\n--\n\n"
                        "Figures of the process: counters, regions (`region` is the default one), "
                        "interpreters, names, proxies, queues and locks (`things`), executors, the write "
                        "guard.");

static PyObject *
stats(PyObject *module, PyObject *unused)
{
    (void)unused;
    stoa__members_settle();
    PyObject *dict = PyDict_New();
    if (dict == NULL) {
        return NULL;
    }
    if (put(dict, "counters", counters()) < 0 || put_regions(dict) < 0 ||
        put(dict, "interpreters", interpreters()) < 0 ||
        put(dict, "names", PyLong_FromSize_t(stoa__name_count())) < 0 || put(dict, "guard", guard()) < 0 ||
        put(dict, "proxies", proxies(module)) < 0 || put(dict, "things", stoa__things_list()) < 0 ||
        put(dict, "executors", executors()) < 0) {
        Py_DECREF(dict);
        return NULL;
    }
    return dict;
}

static PyMethodDef methods[] = {
    {"stats", stats, METH_NOARGS, stats_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_stats(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
