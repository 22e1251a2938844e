/* Making and ending an interpreter, on its home thread. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "heap/error.h"
#include "heap/fork.h"
#include "host/home_struct.h"
#include "host/import_path.h"
#include "host/threading_end.h"
#include "immortal/cpython/gilstate.h"
#include "immortal/cpython/minor.h"
#include "immortal/exceptions.h"
#include "proxy/cross.h"
#include "proxy/proxy.h"

/* Python 3.12 makes one interpreter at a time: 1 + the fork generation of who is at it, 0 when nobody is. */
static _Atomic uint64_t being_made;

static void
lock_making(void)
{
    uint64_t mine = 1 + stoa__fork_generation();
    for (uint64_t seen = 0; !atomic_compare_exchange_strong(&being_made, &seen, mine); seen = 0) {
        if (seen != mine && atomic_compare_exchange_strong(&being_made, &seen, mine)) {
            return; /* its owner exists in the parent only */
        }
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL); /* 3.12 only, and making takes 20 ms */
    }
}

static void
unlock_making(void)
{
    being_made = 0;
}

void
stoa__home_keep_message(stoa_home *home, stoa_err err)
{
    home->err = err;
    const char *text = stoa_error_message();
    const char *rest = strstr(text, ": ");
    (void)snprintf(home->message, sizeof(home->message), "%s", rest == NULL ? text : rest + 2);
}

/* The exception that is set becomes the message. */
static void
keep_exception(stoa_home *home)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *text = exception == NULL ? NULL : PyObject_Str(exception);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    home->err = STOA_EPYTHON;
    (void)snprintf(home->message, sizeof(home->message), "interpreter '%s' could not be set up: %s: %s",
                   home->name == NULL ? "" : home->name,
                   exception == NULL ? "?" : Py_TYPE(exception)->tp_name, utf8 == NULL ? "?" : utf8);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(exception);
}

/* Inside the new interpreter. */
static int
set_up(stoa_home *home, const stoa_parcel *path)
{
    atomic_fetch_add(&home->refs, 1); /* the member's */
    if (stoa__member_register(home->name, true, home->shared_gil, home->initial, home) < 0) {
        stoa__home_unref(home);
        return -1;
    }
    if (stoa__threading_prepare() < 0) {
        return -1;
    }
    return stoa__import_path_put(path);
}

/* Ends what set_up could not finish. Inside it. */
static void
end_half(stoa_home *home)
{
    stoa_interp_record *half = stoa__interp_find_python(PyInterpreterState_GetID(home->initial->interp), 0);
    if (half != NULL) {
        (void)stoa__interp_start_close(half);
        stoa__member_gone(half);
        stoa__interp_unref(half);
        stoa__home_unref(home);
    }
    Py_EndInterpreter(home->initial);
    home->initial = NULL;
}

/* Inside the main interpreter; on return no thread state may be current. */
static stoa_err
make_beside_main(stoa_home *home, const stoa_parcel *path)
{
    PyInterpreterConfig config = {
        .use_main_obmalloc = home->shared_gil,
        .allow_fork = 0, /* the child of a fork has the main interpreter only */
        .allow_exec = 0,
        .allow_threads = 1,
        .allow_daemon_threads = 0, /* 3.12 and 3.13 abort when one is left */
        .check_multi_interp_extensions = !home->shared_gil,
        .gil = home->shared_gil ? PyInterpreterConfig_SHARED_GIL : PyInterpreterConfig_OWN_GIL,
    };
    PyStatus status = Py_NewInterpreterFromConfig(&home->initial, &config);
    if (PyStatus_Exception(status)) {
        (void)stoa__fail(STOA_EPYTHON, "Python could not make an interpreter: %s",
                         status.err_msg == NULL ? "no reason given" : status.err_msg);
        stoa__home_keep_message(home, STOA_EPYTHON);
        home->initial = NULL;
        return STOA_EPYTHON;
    }
    stoa_interp_record *record = set_up(home, path) < 0 ? NULL : stoa__current_record();
    if (record == NULL) {
        keep_exception(home);
        end_half(home);
        return home->err;
    }
    home->record = stoa__interp_ref(record);
    home->thread_id = home->initial->thread_id;
    return STOA_OK;
}

static stoa_err
new_interpreter(stoa_home *home)
{
    stoa_interp_record *main_record = stoa__main_record();
    stoa_entry entry;
    stoa_err err = main_record == NULL
                       ? stoa__fail(STOA_EGONE, "the main interpreter has ended, and with it Python: no "
                                                "further interpreter can be made")
                       : stoa__enter(main_record, &entry);
    if (err != STOA_OK) {
        stoa__home_keep_message(home, err);
        if (main_record != NULL) {
            stoa__interp_unref(main_record);
        }
        return err;
    }
    stoa_parcel mains;
    if (home->path == NULL && stoa__import_path_pack(&mains) < 0) {
        keep_exception(home);
        err = home->err;
    }
    else {
        err = make_beside_main(home, home->path == NULL ? &mains : home->path);
        (void)PyThreadState_Swap(entry.entered);
        if (home->path == NULL) {
            stoa__parcel_clear(&mains);
        }
    }
    stoa__leave(&entry);
    stoa__interp_unref(main_record);
    return err;
}

stoa_err
stoa__home_make_here(stoa_home *home)
{
#if STOA_INTERPS_ONE_AT_A_TIME
    lock_making();
    stoa_err err = new_interpreter(home);
    unlock_making();
#else
    (void)lock_making;
    (void)unlock_making;
    stoa_err err = new_interpreter(home);
#endif
    if (err == STOA_OK) {
        /* while this thread is not inside, PyGILState_Ensure on it and stoa__enter use the initial state */
        stoa__gilstate_set(home->initial);
    }
    return err;
}

/* ---- ending, on the home thread ---------------------------------------------------------------------------------- */

void
stoa__home_end_here(stoa_home *home)
{
    stoa_interp_record *record = home->record;
    uint32_t serial = record->serial;
    PyInterpreterState *interp = home->initial->interp;
    (void)PyThreadState_Swap(home->initial);
    stoa__side_leave(record);
    stoa__thread_states_take_down(record, false);
    stoa__threading_wait_for_strays(interp, home->initial);
    /* the member stays until the end: what runs in Py_EndInterpreter may still use Stoa */
    stoa__lock(&record->lock);
    stoa__member(record)->worker = NULL;
    stoa__unlock(&record->lock);
    stoa__home_unref(home);
#if STOA_INTERPS_ONE_AT_A_TIME
    PyThreadState *state = PyEval_SaveThread();
    lock_making();
    PyEval_RestoreThread(state);
#endif
    Py_EndInterpreter(home->initial);
#if STOA_INTERPS_ONE_AT_A_TIME
    unlock_making();
#endif
    stoa__member_gone(record);
    stoa__interp_ended(serial);
}
