/* _look(pid): what another process's Stoa holds, without its help: for `python -m stoa top`.
 *
 * The struct of the process (heap/process_struct.h) is found by the name of its mapping in /proc/PID/maps, and it and what
 * hangs off it are read with process_vm_readv, which the system allows to the same user (and, where Yama says so, only to
 * parents and root). The other side is not stopped and takes no lock for us, so anything may change while it is read. Hence:
 * magic, version and size are checked first; what is followed is what that process never gives back to malloc (records of
 * interpreters, entries of names), or else is checked by what it says of itself; every walk is bounded, every text is cut
 * at its field; what cannot be read is left out and counted in "torn".
 */
#include <Python.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "heap/name_table_struct.h"
#include "heap/process_struct.h"
#include "host/pool_struct.h"
#include "immortal/exceptions.h"
#include "module/module.h"
#include "sync/mutex.h"
#include "sync/queue.h"

#define MAX_RECORDS 20000
#define MAX_SLOTS ((size_t)1 << 22)
#define MAX_WAITERS 64
#define MAX_WORKERS 4096

typedef struct look {
    pid_t pid;
    const void *address; /* of the other process's struct, there */
    stoa_process *copy;
    unsigned long torn;
    bool gone; /* the process has ended meanwhile */
} look;

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool
read_remote(look *l, const void *from, void *to, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};
    if (from != NULL && !l->gone && process_vm_readv(l->pid, &local, 1, &remote, 1, 0) == (ssize_t)size) {
        return true;
    }
    l->gone = l->gone || (from != NULL && errno == ESRCH);
    l->torn++;
    return false;
}

/* Where the struct lies in the other process; NULL with an exception. */
static void *
find_process(pid_t pid)
{
    char path[64], line[4400], permissions[8];
    void *found = NULL;
    (void)snprintf(path, sizeof(path), "/proc/%ld/maps", (long)pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL) {
        if (errno == ENOENT || errno == ESRCH) {
            PyErr_Format(PyExc_ProcessLookupError, "there is no process %ld", (long)pid);
        }
        else {
            PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
        }
        return NULL;
    }
    while (found == NULL && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long start, end;
        if (strstr(line, "stoa-process") != NULL &&
            sscanf(line, "%lx-%lx %7s", &start, &end, permissions) == 3 && permissions[0] == 'r' &&
            permissions[3] == 'p') {
            found = (void *)(uintptr_t)start;
        }
    }
    (void)fclose(maps);
    if (found == NULL) {
        PyErr_Format(stoa__exception(STOA_EXC_Error), "process %ld has not imported stoa", (long)pid);
    }
    return found;
}

static int
read_process(look *l, const void *address)
{
    errno = 0;
    if (!read_remote(l, address, l->copy, offsetof(stoa_process, memory))) {
        if (errno == EPERM) {
            PyErr_Format(
                PyExc_PermissionError,
                "process %ld may not be read: it must be of the same user, and where "
                "/proc/sys/kernel/yama/ptrace_scope is not 0, a child of this one; else run this as root",
                (long)l->pid);
        }
        else {
            PyErr_Format(PyExc_ProcessLookupError, "process %ld has ended", (long)l->pid);
        }
        return -1;
    }
    if (l->copy->magic != STOA_PROCESS_MAGIC || l->copy->version != STOA_PROCESS_VERSION ||
        l->copy->size != sizeof(stoa_process)) {
        PyErr_Format(stoa__exception(STOA_EXC_Error),
                     "process %ld runs another version of stoa (layout %u, %u bytes; this one %u, %zu "
                     "bytes), or is just "
                     "starting: run the `top` of its version",
                     (long)l->pid, (unsigned)l->copy->version, (unsigned)l->copy->size,
                     (unsigned)STOA_PROCESS_VERSION, sizeof(stoa_process));
        return -1;
    }
    if (!read_remote(l, address, l->copy, sizeof(stoa_process))) {
        PyErr_Format(PyExc_ProcessLookupError, "process %ld has ended", (long)l->pid);
        return -1;
    }
    return 0;
}

/* A field of chars that may not end in a NUL. */
static PyObject *
text_field(const char *text, size_t size)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strnlen(text, size), "replace");
}

/* Steals `entry`. */
static int
append(PyObject *list, PyObject *entry)
{
    int result = entry == NULL ? -1 : PyList_Append(list, entry);
    Py_XDECREF(entry);
    return result;
}

/* ---- interpreters, regions, counters ----------------------------------------------------------------------------- */

static int
add_interpreters(look *l, PyObject *list)
{
    static const char *const states[] = {"?", "live", "closing", "gone"};
    stoa_interp_record record;
    const stoa_interp_record *at = l->copy->interps.all_records;
    for (int i = 0; at != NULL && i < MAX_RECORDS && read_remote(l, at, &record, sizeof(record)); i++) {
        at = record.next; /* never freed, const */
        if (record.state == STOA_INTERP_LIVE || record.state == STOA_INTERP_CLOSING) {
            if (append(list, Py_BuildValue("{s:I,s:L,s:N,s:s,s:I}", "serial", record.serial, "id",
                                           (long long)record.python_id, "name",
                                           text_field(record.name, sizeof(record.name)), "state",
                                           states[record.state], "inside",
                                           record.inside & ~STOA_INTERP_FLAGS)) < 0) {
                return -1;
            }
        }
    }
    return PyList_Reverse(list);
}

static const stoa_region *
region_address(look *l, uint32_t id)
{
    uint32_t high = id >> STOA_REGION_SEGMENT_0, index = id;
    unsigned segment = 0;
    if (high != 0) {
        unsigned bit = 31u - (unsigned)__builtin_clz(id);
        index = id - (1u << bit);
        segment = bit - STOA_REGION_SEGMENT_0 + 1;
    }
    const void *const *places = (const void *const *)(uintptr_t)l->copy->regions.segments[segment];
    const void *place = NULL;
    return places != NULL && read_remote(l, places + index, &place, sizeof(place)) ? place : NULL;
}

static int
add_regions(look *l, PyObject *list)
{
    uint32_t last = l->copy->regions.last_id;
    for (uint32_t id = 1; id <= last && id < MAX_RECORDS; id++) {
        const stoa_region *address = region_address(l, id);
        stoa_region region;
        if (address == NULL || !read_remote(l, address, &region, sizeof(region)) || region.id != id) {
            continue; /* ended, or its memory is something else by now */
        }
        if (append(list, Py_BuildValue("{s:I,s:N,s:n,s:n,s:K,s:K}", "id", id, "name",
                                       text_field(region.name, sizeof(region.name)), "limit",
                                       (Py_ssize_t)region.limit, "used_bytes", (Py_ssize_t)region.used_bytes,
                                       "objects", (unsigned long long)region.objects, "freezes",
                                       (unsigned long long)region.freezes)) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
add_counters(look *l, PyObject *dict)
{
    int result = 0;
#define ADD_COUNTER(name, meaning)                                                                  \
    if (result == 0) {                                                                              \
        PyObject *value = PyLong_FromUnsignedLongLong(STOA_COUNTER_READ(&l->copy->counters, name)); \
        result = value == NULL ? -1 : PyDict_SetItemString(dict, #name, value);                     \
        Py_XDECREF(value);                                                                          \
    }
    STOA_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
    return result;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static int
add_name(look *l, const stoa_name_entry *address, PyObject *list)
{
    struct {
        stoa_name_entry head;
        char text[STOA_NAME_MAX + 8];
    } entry;
    if (!read_remote(l, address, &entry.head, sizeof(entry.head))) {
        return 0;
    }
    uint64_t size = entry.head.size, kind = entry.head.kind_domain >> 32;
    if (size == 0 || size > STOA_NAME_MAX ||
        !read_remote(l, (const char *)address + offsetof(stoa_name_entry, text), entry.text, (size_t)size)) {
        return 0;
    }
    return append(list, Py_BuildValue("{s:N,s:s}", "name",
                                      PyUnicode_DecodeUTF8(entry.text, (Py_ssize_t)size, "replace"), "kind",
                                      kind == STOA_VALUE_HANDLE ? "handle" : "object"));
}

/* One try: false when the shard was changed meanwhile, by its sequence number; *result as of add_name. */
static bool
try_shard(look *l, const stoa_name_table *address, PyObject *list, int *result)
{
    stoa_name_table table, after;
    stoa_name_slots head;
    *result = 0;
    if (!read_remote(l, address, &table, sizeof(table)) || table.count == 0 || table.slots == NULL) {
        return true;
    }
    if (table.sequence % 2 != 0 || !read_remote(l, table.slots, &head, sizeof(head)) || head.mask >= MAX_SLOTS) {
        return false;
    }
    size_t size = (head.mask + 1) * sizeof(head.at[0]);
    char *slots = malloc(size);
    if (slots == NULL) {
        PyErr_NoMemory();
        *result = -1;
        return true;
    }
    if (read_remote(l, (const char *)table.slots + sizeof(head), slots, size)) {
        for (size_t i = 0; i <= head.mask && *result == 0; i++) {
            uint64_t words[2];
            memcpy(words, slots + i * sizeof(words), sizeof(words));
            if (words[1] != 0) {
                *result = add_name(l, (const stoa_name_entry *)(uintptr_t)words[1], list);
            }
        }
    }
    free(slots);
    return read_remote(l, address, &after, sizeof(after)) && after.sequence == table.sequence;
}

static int
add_shard(look *l, const stoa_name_table *address, PyObject *list)
{
    Py_ssize_t before = PyList_GET_SIZE(list);
    for (int i = 0; i < 50; i++) {
        int result;
        if (try_shard(l, address, list, &result) || result < 0) {
            return result;
        }
        if (l->gone || PyList_SetSlice(list, before, PyList_GET_SIZE(list), NULL) < 0) {
            return l->gone ? 0 : -1;
        }
    }
    l->torn++;
    return 0;
}

static int
add_names(look *l, PyObject *list)
{
    const stoa_process *there = l->address;
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        if (add_shard(l, &there->names.shards[i].table, list) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- things and who waits for them ------------------------------------------------------------------------------- */

static const char *
kind_name(uint32_t kind)
{
    static const char *const names[STOA_THING_KINDS] = {
        [STOA_THING_QUEUE] = "Queue",         [STOA_THING_LOCK] = "Lock",
        [STOA_THING_RLOCK] = "RLock",         [STOA_THING_EVENT] = "Event",
        [STOA_THING_CONDITION] = "Condition", [STOA_THING_SEMAPHORE] = "Semaphore",
        [STOA_THING_BARRIER] = "Barrier",     [STOA_THING_EXECUTOR] = "Executor",
    };
    return kind < STOA_THING_KINDS && names[kind] != NULL ? names[kind] : "?";
}

static uint64_t
thread_of(look *l, const stoa_waiter *address)
{
    stoa_waiter waiter;
    return address != NULL && read_remote(l, address, &waiter, sizeof(waiter)) ? waiter.thread : 0;
}

/* Nodes lie on the stacks of those who wait: each may be gone when it is read. */
static int
add_waiters(look *l, const stoa_node_list *nodes, const char *what, PyObject *list)
{
    const stoa_node *at = nodes->first;
    for (uint32_t i = 0; i < nodes->count && i < MAX_WAITERS && at != NULL; i++) {
        stoa_node node;
        if (!read_remote(l, at, &node, sizeof(node))) {
            break;
        }
        at = node.next;
        if (append(list,
                   Py_BuildValue("{s:K,s:I,s:s,s:K}", "thread", (unsigned long long)thread_of(l, node.waiter),
                                 "interpreter", node.serial, "what", what, "whom",
                                 (unsigned long long)thread_of(l, node.whom))) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Steals `waiters`; NULL is its failure. */
static int
add_thing(PyObject *list, const stoa_thing *thing, PyObject *waiters, uint64_t depth, uint64_t limit, bool shut)
{
    return waiters == NULL
               ? -1
               : append(list, Py_BuildValue("{s:K,s:s,s:K,s:K,s:O,s:N}", "id", (unsigned long long)thing->id,
                                            "kind", kind_name(thing->kind), "depth",
                                            (unsigned long long)depth, "limit", (unsigned long long)limit,
                                            "shut", shut ? Py_True : Py_False, "waiters", waiters));
}

static int
add_queue(look *l, const stoa_thing *address, PyObject *list)
{
    stoa_queue queue;
    if (!read_remote(l, address, &queue, sizeof(queue))) {
        return 0;
    }
    PyObject *waiters = PyList_New(0);
    if (waiters != NULL && (add_waiters(l, &queue.getters, "get", waiters) < 0 ||
                            add_waiters(l, &queue.putters, "put", waiters) < 0 ||
                            add_waiters(l, &queue.joiners, "join", waiters) < 0)) {
        Py_CLEAR(waiters);
    }
    return add_thing(list, &queue.thing, waiters, queue.count, queue.limit, queue.shut);
}

static int
add_mutex(look *l, const stoa_thing *address, PyObject *list)
{
    stoa_mutex mutex;
    if (!read_remote(l, address, &mutex, sizeof(mutex))) {
        return 0;
    }
    PyObject *waiters = PyList_New(0);
    if (waiters != NULL && add_waiters(l, &mutex.waiters, "acquire", waiters) < 0) {
        Py_CLEAR(waiters);
    }
    return add_thing(list, &mutex.thing, waiters, mutex.word != 0, 1, mutex.broke_in != 0);
}

/* Workers come and go: one whose memory is something else by now does not say that it is of this pool. */
static void
add_worker(look *l, const stoa_pool *pool, const stoa_worker *address, stoa_pool_figures *out)
{
    stoa_worker worker;
    if (!read_remote(l, address, &worker, sizeof(worker))) {
        return;
    }
    if (worker.pool != pool) {
        l->torn++;
        return;
    }
    out->workers++;
    out->idle += worker.idle;
    out->queued += worker.queue.count;
    out->done += worker.done;
}

static int
add_pool(look *l, const stoa_thing *address, PyObject *list)
{
    stoa_pool pool;
    stoa_pool_figures figures = {0};
    if (!read_remote(l, address, &pool, sizeof(pool))) {
        return 0;
    }
    uint32_t count = pool.count > MAX_WORKERS ? MAX_WORKERS : pool.count;
    figures.done = pool.done_before;
    for (uint32_t i = 0; i < count; i++) {
        const stoa_worker *worker;
        if (read_remote(l, pool.workers + i, &worker, sizeof(worker))) {
            add_worker(l, (const stoa_pool *)address, worker, &figures);
        }
    }
    Py_ssize_t place = PyList_GET_SIZE(list);
    if (add_thing(list, &pool.thing, PyList_New(0), figures.queued, 0, pool.shut || pool.broken) < 0) {
        return -1;
    }
    PyObject *more = Py_BuildValue("{s:N,s:I,s:I,s:I,s:K}", "name", text_field(pool.name, sizeof(pool.name)),
                                   "max_workers", pool.plan.max_workers, "workers", figures.workers, "idle",
                                   figures.idle, "done", (unsigned long long)figures.done);
    int result = more == NULL ? -1 : PyDict_Update(PyList_GET_ITEM(list, place), more);
    Py_XDECREF(more);
    return result;
}

static int
add_things(look *l, PyObject *list)
{
    stoa_thing thing;
    uint64_t last = l->copy->things.last_id, before = UINT64_MAX;
    const stoa_thing *at = l->copy->things.first;
    for (int i = 0; at != NULL && i < MAX_RECORDS && read_remote(l, at, &thing, sizeof(thing)); i++) {
        if (thing.kind == 0 || thing.kind >= STOA_THING_KINDS || thing.id == 0 || thing.id > last + 1000 ||
            thing.id == before) {
            l->torn++; /* freed meanwhile: what follows is not a list any more */
            break;
        }
        before = thing.id;
        int result = thing.kind == STOA_THING_QUEUE      ? add_queue(l, at, list)
                     : thing.kind == STOA_THING_EXECUTOR ? add_pool(l, at, list)
                     : thing.kind == STOA_THING_LOCK || thing.kind == STOA_THING_RLOCK
                         ? add_mutex(l, at, list)
                         : add_thing(list, &thing, PyList_New(0), 0, 0, false);
        if (result < 0) {
            return -1;
        }
        at = thing.next;
    }
    return 0;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static int
add_part(look *l, PyObject *dict, const char *key, int (*add)(look *, PyObject *), bool mapping)
{
    PyObject *part = mapping ? PyDict_New() : PyList_New(0);
    int result = part == NULL || add(l, part) < 0 ? -1 : PyDict_SetItemString(dict, key, part);
    Py_XDECREF(part);
    return result;
}

PyDoc_STRVAR(look_doc, "_look($module, pid, /)\n--\n\n"
                       "Private: what the Stoa of another process of this user holds, as a dict.");

static PyObject *
look_at(PyObject *module, PyObject *arg)
{
    (void)module;
    long pid = PyLong_AsLong(arg);
    if (pid == -1 && PyErr_Occurred()) {
        return NULL;
    }
    look l = {.pid = (pid_t)pid};
    void *address = find_process(l.pid);
    if (address == NULL || (l.copy = aligned_alloc(64, (sizeof(stoa_process) + 63) / 64 * 64)) == NULL) {
        return address == NULL ? NULL : PyErr_NoMemory();
    }
    l.address = address;
    PyObject *dict = read_process(&l, address) < 0 ? NULL : Py_BuildValue("{s:l}", "pid", pid);
    if (dict != NULL && (add_part(&l, dict, "counters", add_counters, true) < 0 ||
                         add_part(&l, dict, "interpreters", add_interpreters, false) < 0 ||
                         add_part(&l, dict, "regions", add_regions, false) < 0 ||
                         add_part(&l, dict, "names", add_names, false) < 0 ||
                         add_part(&l, dict, "things", add_things, false) < 0)) {
        Py_CLEAR(dict);
    }
    if (dict != NULL && l.gone) {
        Py_CLEAR(dict);
        PyErr_Format(PyExc_ProcessLookupError, "process %ld has ended", pid);
    }
    PyObject *torn = dict == NULL ? NULL : PyLong_FromUnsignedLong(l.torn);
    if (torn == NULL || PyDict_SetItemString(dict, "torn", torn) < 0) {
        Py_CLEAR(dict);
    }
    Py_XDECREF(torn);
    free(l.copy);
    return dict;
}

static PyMethodDef methods[] = {{"_look", look_at, METH_O, look_doc}, {NULL, NULL, 0, NULL}};

int
stoa__module_add_look(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
