#include "proxy/membership.h"

#include <pthread.h>
#include <stdlib.h>

#include "heap/counters.h"
#include "heap/error.h"
#include "heap/guard.h"
#include "heap/process.h"
#include "heap/region.h"
#include "immortal/canonical.h"
#include "immortal/cpython/arenas.h"
#include "immortal/cpython/eval.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/describe.h" // the guard's view of our objects
#include "immortal/cpython/interp_list.h"
#include "immortal/cpython/minor.h"
#include "immortal/cpython/thread_list.h"
#include "immortal/cpython/untried.h"
#include "immortal/exceptions.h"
#include "immortal/foreign.h"
#include "proxy/node.h"
#include "proxy/proxy.h"
#include "proxy/reaper.h"
#include "proxy/signals.h"
#include "proxy/thread_state.h"

/* How long an interpreter that is being ended by somebody else waits for our threads to come out. */
#define LEAVE_SECONDS 10.0

#define CHAIN_MAX 32 /* interpreters that one thread is inside */

void (*stoa__member_leaving)(stoa_interp_record *record, stoa_deadline deadline);
void (*stoa__main_leaving)(void);

/* ---- the library itself ------------------------------------------------------------------------------------------ */

/* The child of os.fork() in the main interpreter. Elsewhere os.fork() is refused; a fork by C code is left alone. */
static void
after_fork_in_child(void)
{
    PyThreadState *state = stoa__current_state();
    if (state != NULL && state->interp == PyInterpreterState_Main()) {
        stoa__interp_list_keep_main();
        stoa__thread_list_let_clear(state->interp);
    }
}

stoa_err
stoa__ready(void)
{
    static _Atomic bool fork_hooked;
    static _Atomic bool ready; /* under a GIL; two interpreters at once do idempotent things twice */
    if (ready) {
        return STOA_OK;
    }
    stoa_err err = stoa__process_open();
    if (err != STOA_OK) {
        return err;
    }
    if ((err = stoa__gilstate_init()) != STOA_OK) {
        return err;
    }
    if (stoa__canonical_init() < 0) {
        return STOA_EVERSION;
    }
    if ((err = stoa__guard_install(&stoa__describer)) != STOA_OK) {
        return err;
    }
    stoa__interps_set_fork_hook(stoa__thread_states_after_fork);
    stoa__interp_list_init();
    stoa__eval_init();
    stoa__arenas_watch();
    stoa__handle_nodes_ready();
    if (!atomic_exchange(&fork_hooked, true) && pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        fork_hooked = false;
        return stoa__fail(STOA_ENOMEM, "no memory to register for fork");
    }
    ready = true;
    return STOA_OK;
}

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

/* Waits, with no GIL held, until nobody is inside but `own` entries of this thread. Returns as stoa__interp_wait_empty. */
static stoa_err
member_drain(stoa_interp_record *record, uint32_t own, stoa_deadline deadline)
{
    PyThreadState *state = stoa__current_state();
    if (state != NULL) {
        PyEval_SaveThread();
    }
    stoa_err err = stoa__interp_wait_empty(record, own, deadline);
    if (state != NULL) {
        PyEval_RestoreThread(state);
    }
    return err;
}

void
stoa__member_gone(stoa_interp_record *record)
{
    stoa__lock(&record->lock);
    stoa_member *member = record->cookie;
    record->cookie = NULL;
    stoa__unlock(&record->lock);
    stoa__interp_gone(record);
    if (member != NULL && member->side != NULL) {
        stoa__side_unref(member->side); /* nobody runs in there any more, or its GIL is held */
    }
    free(member);
}

void
stoa__members_settle(void)
{
    stoa_leaving leaving[16];
    size_t count = stoa__interps_leaving(leaving, Py_ARRAY_LENGTH(leaving));
    int64_t main_id = count == 0 ? 0 : PyInterpreterState_GetID(PyInterpreterState_Main());
    for (size_t i = 0; i < count; i++) {
        /* what the main one leaves may still be found by a Python that is started again */
        if (leaving[i].domain == 0 && leaving[i].python_id != main_id &&
            !stoa__interp_lives(leaving[i].python_id)) {
            stoa__interp_ended(leaving[i].serial);
        }
    }
}

PyObject *
stoa__receive(PyObject *object)
{
    if (stoa__in_heap(object) && stoa__region_of(object) > 1) {
        const stoa_interp_record *record = stoa__current_record();
        if (record == NULL) {
            return NULL; /* shared objects are not counted: nothing to give back */
        }
        stoa__region_mark_delivered(object, record->serial);
    }
    return stoa__deliver(object);
}

void
stoa__let_go_anywhere(const void *object)
{
    if (stoa__in_heap(object)) {
        stoa__region_mark_delivered(object, 0);
    }
}

void
stoa__let_go_below(const void *object)
{
    uint32_t serials[CHAIN_MAX];
    if (!stoa__in_heap(object) || stoa__region_of(object) <= 1) {
        return;
    }
    size_t count = stoa__thread_inside(serials, CHAIN_MAX);
    if (count == CHAIN_MAX) { /* there may be more */
        stoa__let_go_anywhere(object);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        stoa__region_mark_delivered(object, serials[i]);
    }
}

/* Interrupts what still runs in there and waits again: whoever ends the interpreter does not wait for ever. */
static stoa_err
drain_firmly(stoa_interp_record *record, uint32_t own)
{
    stoa_deadline deadline;
    (void)stoa__deadline_in(LEAVE_SECONDS, &deadline);
    stoa_err err;
    while ((err = member_drain(record, own, deadline)) == STOA_EINTERRUPTED) {
    }
    if (err == STOA_ETIMEDOUT) {
        (void)stoa__thread_states_interrupt(record, PyExc_SystemExit);
        (void)stoa__deadline_in(1.0, &deadline);
        while ((err = member_drain(record, own, deadline)) == STOA_EINTERRUPTED) {
        }
    }
    return err;
}

/* The thread for submitted work ends. */
static void
end_worker(stoa_interp_record *record)
{
    stoa_deadline deadline;
    if (stoa__member_leaving != NULL) {
        (void)stoa__deadline_in(LEAVE_SECONDS, &deadline);
        stoa__member_leaving(record, deadline);
    }
}

/* Inside the interpreter, which is CLOSING by us. `own`: entries of this thread, which end here. Nothing of ours is left in it
 * afterwards. */
static void
leave_closing(stoa_interp_record *record, uint32_t own)
{
    bool is_main = stoa__member(record)->interp == PyInterpreterState_Main();
    end_worker(record);
    stoa_err err = drain_firmly(record, own);
    if (err == STOA_OK) {
        end_worker(record); /* who was inside when the close began may have had one started */
    }
    if (is_main) {
        if (stoa__main_leaving != NULL) {
            stoa__main_leaving();
        }
        stoa__parameter_names_keep();
    }
    for (; own > 0; own--) {
        stoa__interp_leave(record);
    }
    if (err == STOA_OK) {
        stoa__side_leave(record);
        stoa__thread_states_take_down(record, false);
        stoa__member_gone(record);
    }
}

/* One that others made and have not ended, at the end of the program. CPython ends it, after our hook in the main interpreter
 * and before the one in there: it frees the first thread state that it finds, which may be ours, and up to 3.12 it ends the
 * process if there are more. So it is left now, in a state that is known to nobody else. */
static void
leave_anothers(stoa_interp_record *record, void *unused)
{
    (void)unused;
    if (stoa__interp_enter(record) != STOA_OK) {
        return;
    }
    stoa_member *member = stoa__member(record);
    bool others = !member->ours && member->interp != PyInterpreterState_Main();
    if (!others || !stoa__interp_start_close(record)) {
        stoa__interp_leave(record);
        return;
    }
    PyThreadState *state = PyThreadState_New(member->interp);
    if (state == NULL) {
        stoa__interp_reopen(record);
        stoa__interp_leave(record);
        return;
    }
    PyThreadState *here = PyThreadState_Swap(state);
    leave_closing(record, 1);
    PyThreadState_Clear(state);
    (void)PyThreadState_Swap(here);
    PyThreadState_Delete(state);
}

/* The atexit hook of an interpreter: nothing of ours may be left in it when it returns. */
static PyObject *
leave(PyObject *capsule, PyObject *unused)
{
    (void)unused;
    stoa_interp_record *record = PyCapsule_GetPointer(capsule, "stoa.record");
    if (record == NULL) {
        return NULL;
    }
    stoa_member *member = record->cookie;
    if (member == NULL || member->ours) { /* Stoa ends its own interpreters itself */
        Py_RETURN_NONE;
    }
    if (member->interp == PyInterpreterState_Main()) {
        if (stoa__main_leaving != NULL) {
            stoa__main_leaving();
        }
        stoa__reaper_stop();
        (void)stoa__interp_each(leave_anothers, NULL);
    }
    if (stoa__interp_start_close(record)) {
        leave_closing(record, 0);
    }
    Py_RETURN_NONE;
}

static PyMethodDef leave_method = {"leave", leave, METH_NOARGS, NULL};

/* ---- becoming one ------------------------------------------------------------------------------------------------ */

/* The interpreter's own dict goes last of all: the record with it. */
static void
drop_capsule(PyObject *capsule)
{
    stoa__interp_unref(PyCapsule_GetPointer(capsule, "stoa.record"));
}

static int
hook_exit(PyObject *capsule)
{
    PyObject *hook = PyCFunction_New(&leave_method, capsule);
    PyObject *atexit = hook == NULL ? NULL : PyImport_ImportModule("atexit");
    PyObject *result = atexit == NULL ? NULL : PyObject_CallMethod(atexit, "register", "(O)", hook);
    Py_XDECREF(result);
    Py_XDECREF(atexit);
#if STOA_THREADING_KEEPS_FIRST
    /* 3.12 joins the thread that first imported threading before atexit runs; if that thread is one of ours, its state
     * must be gone by then. 3.13 keeps no such lock. */
    if (result != NULL && PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyObject *threading = PyImport_ImportModule("threading");
        result = threading == NULL ? NULL : PyObject_CallMethod(threading, "_register_atexit", "(O)", hook);
        Py_XDECREF(result);
        Py_XDECREF(threading);
    }
#endif
    Py_XDECREF(hook);
    return result == NULL ? -1 : 0;
}

static stoa_err
make_record(const char *name, stoa_member *member, stoa_interp_record **out)
{
    int64_t id = PyInterpreterState_GetID(member->interp);
    if (name == NULL && member->interp == PyInterpreterState_Main()) {
        name = "main";
    }
    if (member->interp == PyInterpreterState_Main()) {
        stoa__reaper_allow();
    }
    return stoa__interp_register(id, 0, name, member, out);
}

int
stoa__member_register(const char *name, bool ours, bool shared_gil, PyThreadState *initial, void *worker)
{
    stoa_err err = stoa__ready();
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    if (stoa__canonical_init() < 0) { /* imports, in this interpreter, what it needs to use shared objects */
        if (!PyErr_Occurred()) {
            stoa__raise(STOA_EVERSION);
        }
        return -1;
    }
    if (stoa__modules_untried() < 0) {
        return -1;
    }
    PyInterpreterState *interp = PyInterpreterState_Get();
    if (stoa__gil_word(interp) != stoa__gil_word(PyInterpreterState_Main()) && stoa__signals_hide() < 0) {
        return -1;
    }
    PyObject *dict = PyInterpreterState_GetDict(interp);
    if (dict == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "stoa: this interpreter is being taken down");
        return -1;
    }
    stoa_member *member = calloc(1, sizeof(*member));
    if (member == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *member = (stoa_member){.interp = interp,
                            .gil = stoa__gil_word(interp),
                            .ours = ours,
                            .shared_gil = shared_gil,
                            .initial = initial,
                            .worker = worker};
    stoa_interp_record *record;
    if ((err = make_record(name, member, &record)) != STOA_OK) {
        free(member);
        stoa__raise(err);
        return -1;
    }
    PyObject *capsule = PyCapsule_New(record, "stoa.record",
                                      drop_capsule); /* the caller's reference goes into it */
    int result = capsule == NULL ? -1 : PyDict_SetItemString(dict, "stoa.record", capsule);
    if (result == 0 && !ours) {
        result = hook_exit(capsule);
    }
    if (result < 0) {
        (void)stoa__interp_start_close(record);
        stoa__member_gone(record);
        PyObject *raised = PyErr_GetRaisedException();
        if (PyDict_DelItemString(dict, "stoa.record") < 0) {
            PyErr_Clear();
        }
        PyErr_SetRaisedException(raised);
        if (capsule == NULL) {
            stoa__interp_unref(record);
        }
    }
    Py_XDECREF(capsule);
    if (result == 0) {
        stoa__members_settle();
    }
    return result;
}

static stoa_interp_record *
find_in_dict(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *key = dict == NULL ? NULL : PyUnicode_FromString("stoa.record");
    PyObject *capsule = key == NULL ? NULL : PyDict_GetItemWithError(dict, key); /* the dict keeps it */
    Py_XDECREF(key);
    return capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, "stoa.record");
}

stoa_interp_record *
stoa__current_record(void)
{
    stoa_interp_record *record = find_in_dict();
    if (record == NULL && !PyErr_Occurred() && stoa__member_register(NULL, false, false, NULL, NULL) == 0) {
        record = find_in_dict();
    }
    return record;
}

stoa_interp_record *
stoa__main_record(void)
{
    PyInterpreterState *interp = PyInterpreterState_Main();
    stoa_interp_record *record = interp == NULL
                                     ? NULL
                                     : stoa__interp_find_python(PyInterpreterState_GetID(interp), 0);
    if (record == NULL) {
        (void)stoa__fail(STOA_ESTATE, "Stoa has not been started in the main interpreter, or it has ended; "
                                      "import stoa there, or call stoa_runtime_open");
    }
    return record;
}
