#include "stoa/runtime.h"

#include <Python.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "heap/error.h"
#include "heap/guard.h"
#include "heap/names.h"
#include "heap/process_struct.h" // stoa__process->counters
#include "host/interp.h"
#include "host/own_package.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/thread_state.h"
#include "stoa/version.h"

/* Of this copy of the library: who opened it, and what is to be undone. */
static struct {
    pthread_mutex_t lock; /* held while opening and closing, which run Python: so no lock of ours */
    unsigned opened;
    bool python_is_ours;
    pthread_t opener;
    PyThreadState *state; /* of the opener, where Python is ours */
} runtime = {.lock = PTHREAD_MUTEX_INITIALIZER};

const char *
stoa_version(void)
{
    return STOA_VERSION_STRING;
}

int
stoa_version_number(void)
{
    return STOA_VERSION;
}

void
stoa_runtime_options_init(stoa_runtime_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
    options->isolated = true;
    options->site = true;
}

/* ---- initialising Python ----------------------------------------------------------------------------------------- */

static PyStatus
set_text(PyConfig *config, wchar_t **field, const char *text)
{
    return text == NULL ? PyStatus_Ok() : PyConfig_SetBytesString(config, field, text);
}

static PyStatus
fill_config(PyConfig *config, const stoa_runtime_options *options)
{
    config->parse_argv = 0;
    config->site_import = options->site;
    config->install_signal_handlers = options->signal_handlers;
    PyStatus status = set_text(config, &config->program_name, options->program);
    if (!PyStatus_Exception(status)) {
        status = set_text(config, &config->home, options->home);
    }
    if (!PyStatus_Exception(status) && options->argc > 0) {
        status = PyConfig_SetBytesArgv(config, options->argc, (char *const *)options->argv);
    }
    return status;
}

static stoa_err
initialise_python(const stoa_runtime_options *options)
{
    PyConfig config;
    if (options->isolated) {
        PyConfig_InitIsolatedConfig(&config);
    }
    else {
        PyConfig_InitPythonConfig(&config);
    }
    PyStatus status = fill_config(&config, options);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        return stoa__fail(STOA_EPYTHON, "Python could not be initialised: %s%s%s",
                          status.func ? status.func : "", status.func ? ": " : "",
                          status.err_msg ? status.err_msg : "no reason given");
    }
    return STOA_OK;
}

static stoa_err
put_paths(const stoa_runtime_options *options)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    for (size_t i = 0; i < options->path_count; i++) {
        PyObject *folder = PyUnicode_DecodeFSDefault(options->paths[i]);
        int result = folder == NULL || path == NULL ? -1 : PyList_Insert(path, (Py_ssize_t)i, folder);
        Py_XDECREF(folder);
        if (result < 0) {
            PyErr_Clear();
            return stoa__fail(STOA_EPYTHON, "folder %zu of options->paths could not be put into sys.path", i);
        }
    }
    if (stoa__own_package_add() < 0) {
        PyErr_Clear();
        return stoa__fail(STOA_EPYTHON, "the folder of the stoa package could not be put into sys.path");
    }
    return STOA_OK;
}

/* The main interpreter becomes a member. GIL. */
static stoa_err
join_main(void)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        return stoa__fail(STOA_ESTATE,
                          "stoa_runtime_open was called inside another interpreter than the main one");
    }
    stoa__host_ready();
    stoa_err err = stoa__ready();
    if (err == STOA_OK && stoa__current_record() == NULL) {
        PyErr_Clear();
        err = stoa__fail(STOA_EPYTHON, "the main interpreter could not be made to take part: %s",
                         stoa_error_message());
    }
    return err;
}

static stoa_err
open_own(const stoa_runtime_options *options)
{
    stoa_err err = initialise_python(options);
    if (err != STOA_OK) {
        return err;
    }
    if ((err = put_paths(options)) == STOA_OK) {
        err = join_main();
    }
    if (err != STOA_OK) {
        (void)Py_FinalizeEx();
        return err;
    }
    runtime.python_is_ours = true;
    runtime.opener = pthread_self();
    runtime.state = PyEval_SaveThread();
    return STOA_OK;
}

static stoa_err
open_hosted(void)
{
    if (stoa__current_state() != NULL) {
        return join_main();
    }
    PyGILState_STATE state = PyGILState_Ensure();
    stoa_err err = join_main();
    PyGILState_Release(state);
    return err;
}

static stoa_err
check_options(const stoa_runtime_options *options)
{
    if (options->size != sizeof(*options)) {
        return stoa__fail(STOA_EINVAL, "options->size is %zu, not %zu: use stoa_runtime_options_init",
                          options->size, sizeof(*options));
    }
    if ((options->argc > 0 && options->argv == NULL) || (options->path_count > 0 && options->paths == NULL)) {
        return stoa__fail(STOA_EINVAL, "options: a count without its array");
    }
    return STOA_OK;
}

stoa_err
stoa_runtime_open(const stoa_runtime_options *options)
{
    stoa_runtime_options defaults;
    stoa_runtime_options_init(&defaults);
    if (options == NULL) {
        options = &defaults;
    }
    stoa_err err = check_options(options);
    if (err != STOA_OK) {
        return err;
    }
    pthread_mutex_lock(&runtime.lock);
    if (runtime.opened == 0) {
        err = Py_IsInitialized() ? open_hosted() : open_own(options);
    }
    runtime.opened += err == STOA_OK;
    pthread_mutex_unlock(&runtime.lock);
    return err;
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static stoa_err
close_own(void)
{
    PyEval_RestoreThread(runtime.state);
    /* the atexit hook of the main interpreter closes what Stoa made */
    int result = Py_FinalizeEx();
    runtime.python_is_ours = false;
    return result < 0 ? stoa__fail(STOA_EPYTHON,
                                   "Python's finalisation reported an error, as of data that could not be "
                                   "written")
                      : STOA_OK;
}

static stoa_err
close_hosted(void)
{
    stoa_interp_record *record = stoa__main_record();
    stoa_entry entry;
    stoa_err err = STOA_OK;
    if (record != NULL && stoa__enter(record, &entry) == STOA_OK) {
        err = stoa__interp_close_all();
        stoa__leave(&entry);
    }
    if (record != NULL) {
        stoa__interp_unref(record);
    }
    return err;
}

stoa_err
stoa_runtime_close(void)
{
    pthread_mutex_lock(&runtime.lock);
    stoa_err err = STOA_OK;
    if (runtime.opened == 0) {
        err = stoa__fail(STOA_ESTATE, "stoa_runtime_close without stoa_runtime_open");
    }
    else if (stoa__current_state() != NULL &&
             (runtime.python_is_ours || PyInterpreterState_Get() != PyInterpreterState_Main())) {
        err = stoa__fail(STOA_ESTATE, "stoa_runtime_close inside an interpreter: leave it first");
    }
    else if (runtime.opened == 1 && runtime.python_is_ours && !pthread_equal(runtime.opener, pthread_self())) {
        err = stoa__fail(STOA_ESTATE,
                         "Python is finalised by the thread that opened the runtime: close it there");
    }
    else if (--runtime.opened == 0) {
        err = runtime.python_is_ours ? close_own() : close_hosted();
    }
    pthread_mutex_unlock(&runtime.lock);
    return err;
}

bool
stoa_runtime_is_open(void)
{
    pthread_mutex_lock(&runtime.lock);
    bool open = runtime.opened > 0;
    pthread_mutex_unlock(&runtime.lock);
    return open;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

static void
count_record(stoa_interp_record *record, void *arg)
{
    (void)record;
    ++*(uint64_t *)arg;
}

stoa_err
stoa_get_stats(stoa_stats *out)
{
    if (out == NULL || out->size != sizeof(*out)) {
        return stoa__fail(STOA_EINVAL, "stoa_stats.size is not sizeof(stoa_stats) of this version");
    }
    if (stoa__process == NULL) {
        return stoa__fail(STOA_ESTATE, "the runtime was never open: call stoa_runtime_open");
    }
    const stoa_counters *counters = &stoa__process->counters;
    uint64_t interpreters = 0;
    stoa_err err = stoa__interp_each(count_record, &interpreters);
    if (err != STOA_OK) {
        return err;
    }
    *out = (stoa_stats){
        .size = sizeof(*out),
        .interpreters = interpreters,
        .interpreters_made = STOA_COUNTER_READ(counters, interpreters_made),
        .interpreters_closed = STOA_COUNTER_READ(counters, interpreters_closed),
        .names = stoa__name_count(),
        .lookups = STOA_COUNTER_READ(counters, lookups),
        .publishes = STOA_COUNTER_READ(counters, publishes),
        .calls = STOA_COUNTER_READ(counters, calls),
        .thread_states_made = STOA_COUNTER_READ(counters, thread_states_made),
        .thread_states_ended = STOA_COUNTER_READ(counters, thread_states_ended),
        .guard_tolerated = stoa__guard_tolerated(),
    };
    return STOA_OK;
}
