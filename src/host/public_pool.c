/* stoa/pool.h on host/pool.h. */
#include "stoa/pool.h"

#include <Python.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/error.h"
#include "heap/process.h"
#include "host/data.h"
#include "host/message.h"
#include "host/pool_struct.h"
#include "host/target.h"
#include "immortal/cpython/gilstate.h"
#include "proxy/exception.h"
#include "stoa/handle.h"

/* A function by name with arguments of its own. */
typedef struct named_call {
    char *module; /* and, behind its NUL, the qualname; NULL: no call */
    const char *qualname;
    stoa_data *args;
    size_t count;
} named_call;

typedef struct host_task {
    stoa_task task; /* first */
    stoa_pool_work work; /* const; NULL: it is a call. All below is const but for the outcome, which its runner writes */
    void *arg;
    named_call call;
    unsigned flags;
    stoa_err err;
    stoa_data result;
    stoa_exception *exception;
    char message[200];
    _Atomic bool taken;
} host_task;

/* ---- values that live as long as they are needed ----------------------------------------------------------------- */

static void
clear_call(named_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        if (call->args[i].kind == STOA_DATA_HANDLE) {
            (void)stoa_handle_release(call->args[i].as.handle);
        }
        else {
            stoa_data_clear(&call->args[i]);
        }
    }
    free(call->args);
    free(call->module);
    memset(call, 0, sizeof(*call));
}

static stoa_err
copy_data(const stoa_data *from, stoa_data *to)
{
    *to = *from;
    to->owned = NULL;
    if (from->kind == STOA_DATA_HANDLE) {
        return stoa_handle_dup(from->as.handle, &to->as.handle);
    }
    if (from->kind == STOA_DATA_TEXT || from->kind == STOA_DATA_BYTES) {
        char *copy = malloc(from->as.text.size + 1);
        if (copy == NULL) {
            return stoa__fail(STOA_ENOMEM, "no memory for an argument of %zu bytes", from->as.text.size);
        }
        if (from->as.text.size > 0) {
            memcpy(copy, from->as.text.at, from->as.text.size);
        }
        to->as.text.at = to->owned = copy;
    }
    return STOA_OK;
}

static stoa_err
copy_call(const char *function, const stoa_data *args, size_t count, unsigned flags, named_call *out)
{
    const char *colon = function == NULL ? NULL : strchr(function, ':');
    memset(out, 0, sizeof(*out));
    if (colon == NULL || colon == function || colon[1] == '\0') {
        return stoa__fail(STOA_EINVAL, "'%s' does not name a function: write \"module:qualname\"",
                          function == NULL ? "NULL" : function);
    }
    stoa_err err = stoa__data_check_call(args, count, flags);
    if (err != STOA_OK) {
        return err;
    }
    out->module = strdup(function);
    out->args = calloc(count + 1, sizeof(*args));
    if (out->module == NULL || out->args == NULL) {
        clear_call(out);
        return stoa__fail(STOA_ENOMEM, "no memory for a call of '%s'", function);
    }
    out->module[colon - function] = '\0';
    out->qualname = out->module + (colon - function) + 1;
    for (; out->count < count; out->count++) {
        if ((err = copy_data(&args[out->count], &out->args[out->count])) != STOA_OK) {
            clear_call(out);
            return err;
        }
    }
    return STOA_OK;
}

/* Inside. Codes of stoa__data_call. */
static stoa_err
do_call(const named_call *call, PyObject **out)
{
    PyObject *module = PyUnicode_FromString(call->module);
    PyObject *qualname = module == NULL ? NULL : PyUnicode_FromString(call->qualname);
    PyObject *function = qualname == NULL ? NULL : stoa__target_find(module, qualname);
    stoa_err err = function == NULL ? STOA_EPYTHON
                                    : stoa__data_call(function, NULL, call->args, call->count, out);
    Py_XDECREF(function);
    Py_XDECREF(qualname);
    Py_XDECREF(module);
    return err;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void
keep_message(host_task *task)
{
    const char *text = stoa_error_message();
    const char *rest = strstr(text, ": ");
    (void)snprintf(task->message, sizeof(task->message), "%s", rest == NULL ? text : rest + 2);
}

static void
run(stoa_task *self, stoa_interp_record *worker)
{
    host_task *task = (host_task *)self;
    PyObject *result = NULL;
    if (task->work != NULL) {
        task->err = task->work((stoa_interp *)worker, task->arg);
        if (PyErr_Occurred()) {
            task->err = STOA_EPYTHON;
        }
    }
    else {
        task->err = do_call(&task->call, &result);
    }
    if (task->err == STOA_EPYTHON && PyErr_Occurred()) {
        task->err = stoa__exception_take(&task->exception);
    }
    else if (task->err == STOA_OK && task->work == NULL) {
        task->err = stoa__data_from_python(result, task->flags, "the result", &task->result);
    }
    if (task->err != STOA_OK) {
        keep_message(task);
    }
    Py_XDECREF(result);
}

static void
refuse(stoa_task *self, const char *why, const stoa_parcel *raised)
{
    host_task *task = (host_task *)self;
    (void)raised; /* told to the message hook when it happened */
    task->err = STOA_ESTATE;
    (void)snprintf(task->message, sizeof(task->message), "%s", why);
}

static void
dispose(stoa_task *self)
{
    host_task *task = (host_task *)self;
    clear_call(&task->call);
    if (task->result.kind == STOA_DATA_HANDLE && !task->taken) {
        (void)stoa_handle_release(task->result.as.handle);
    }
    stoa_data_clear(&task->result);
    stoa_exception_free(task->exception);
    if (self->pool != NULL) {
        stoa__pool_drop(self->pool);
    }
    free(task);
}

static const stoa_task_ops ops = {.run = run, .refuse = refuse, .dispose = dispose};

static host_task *
new_task(void)
{
    host_task *task = calloc(1, sizeof(*task));
    if (task == NULL) {
        (void)stoa__fail(STOA_ENOMEM, "no memory for a task");
        return NULL;
    }
    stoa__task_init(&task->task, &ops, NULL);
    task->result = stoa_data_none();
    return task;
}

static stoa_err
submit(stoa_pool *pool, host_task *task, stoa_task **out)
{
    stoa__task_ref(&task->task); /* the queue's */
    stoa_err err = stoa__pool_submit(pool, &task->task);
    if (err != STOA_OK) {
        stoa__task_unref(&task->task);
    }
    if (err == STOA_OK && out != NULL) {
        *out = &task->task;
    }
    else {
        stoa__task_unref(&task->task);
    }
    return err;
}

stoa_err
stoa_pool_run(stoa_pool *pool, stoa_pool_work work, void *arg, stoa_task **out_task)
{
    if (pool == NULL || work == NULL) {
        return stoa__fail(STOA_EINVAL, "pool or work is NULL");
    }
    host_task *task = new_task();
    if (task == NULL) {
        return STOA_ENOMEM;
    }
    task->work = work;
    task->arg = arg;
    return submit(pool, task, out_task);
}

stoa_err
stoa_pool_call(stoa_pool *pool, const char *function, const stoa_data *args, size_t count, unsigned flags,
               stoa_task **out_task)
{
    named_call call;
    stoa_err err = pool == NULL ? stoa__fail(STOA_EINVAL, "pool is NULL")
                                : copy_call(function, args, count, flags, &call);
    if (err != STOA_OK) {
        return err;
    }
    host_task *task = new_task();
    if (task == NULL) {
        clear_call(&call);
        return STOA_ENOMEM;
    }
    task->call = call;
    task->flags = flags;
    return submit(pool, task, out_task);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static stoa_err
read_timeout(double seconds, stoa_deadline *out)
{
    if (seconds < 0) {
        *out = STOA_FOREVER;
        return STOA_OK;
    }
    return stoa__deadline_in(seconds, out)
               ? STOA_OK
               : stoa__fail(STOA_EINVAL, "timeout is not a number of seconds (NaN)");
}

stoa_err
stoa_task_wait(stoa_task *task, double timeout)
{
    stoa_deadline deadline;
    stoa_err err = task == NULL ? stoa__fail(STOA_EINVAL, "task is NULL") : read_timeout(timeout, &deadline);
    if (err != STOA_OK || stoa__task_over(task)) {
        return err;
    }
    PyThreadState *state = stoa__current_state();
    if (state != NULL && stoa__pool_help(task)) {
        return STOA_OK;
    }
    if (state != NULL) {
        (void)PyEval_SaveThread();
    }
    err = stoa__task_wait(task, deadline);
    if (state != NULL) {
        PyEval_RestoreThread(state);
    }
    return err;
}

stoa_err
stoa_task_result(stoa_task *self, double timeout, stoa_data *out_result, stoa_exception **out_exception)
{
    host_task *task = (host_task *)self;
    stoa_err err = stoa_task_wait(self, timeout);
    if (err != STOA_OK) {
        return err;
    }
    if (stoa__task_state(self) == STOA_TASK_CANCELLED) {
        return stoa__fail(STOA_ECANCELLED, "the task was cancelled before it began");
    }
    if (atomic_exchange(&task->taken, true)) {
        return stoa__fail(STOA_ESTATE, "the outcome of this task was taken before");
    }
    if (task->err == STOA_OK) {
        if (out_result != NULL) {
            *out_result = task->result;
            task->result = stoa_data_none();
        }
        else if (task->result.kind == STOA_DATA_HANDLE) {
            (void)stoa_handle_release(task->result.as.handle);
        }
        return STOA_OK;
    }
    if (out_exception != NULL && task->exception != NULL) {
        *out_exception = task->exception;
        task->exception = NULL;
    }
    return stoa__fail(task->err, "%s", task->message);
}

bool
stoa_task_cancel(stoa_task *task)
{
    return task != NULL && stoa__task_cancel(task);
}

bool
stoa_task_is_over(const stoa_task *task)
{
    return task != NULL && stoa__task_over(task);
}

void
stoa_task_free(stoa_task *task)
{
    if (task != NULL) {
        stoa__task_unref(task);
    }
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

void
stoa_pool_options_init(stoa_pool_options *options)
{
    memset(options, 0, sizeof(*options));
    options->size = sizeof(*options);
}

static int
prepare(void *arg)
{
    PyObject *result = NULL;
    stoa_err err = do_call(arg, &result);
    Py_XDECREF(result);
    if (err != STOA_OK && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, stoa_error_message());
    }
    return err == STOA_OK ? 0 : -1;
}

static void
broke(void *arg, const stoa_parcel *raised)
{
    const named_call *call = arg;
    (void)raised;
    stoa__say(STOA_PROBLEM, "the initializer %s:%s of a pool raised an exception: the pool is broken",
              call->module, call->qualname);
}

static void
dispose_call(void *arg)
{
    clear_call(arg);
    free(arg);
}

static uint32_t
processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (uint32_t)count : 1;
}

stoa_err
stoa_pool_new(const stoa_pool_options *given, stoa_pool **out_pool)
{
    stoa_pool_options options;
    stoa_pool_options_init(&options);
    if (out_pool == NULL) {
        return stoa__fail(STOA_EINVAL, "out_pool is NULL");
    }
    if (given != NULL) {
        if (given->size != sizeof(options)) {
            return stoa__fail(STOA_EINVAL, "options.size is %zu: fill it in with stoa_pool_options_init",
                              given->size);
        }
        options = *given;
    }
    if (stoa__process == NULL || !Py_IsInitialized()) {
        return stoa__fail(STOA_ESTATE, "the runtime is not open: call stoa_runtime_open");
    }
    if (options.workers > 4096) {
        return stoa__fail(STOA_EINVAL, "options.workers is %u: at most 4096", options.workers);
    }
    stoa_pool_plan plan = {.max_workers = options.workers == 0 ? processors() : options.workers,
                           .max_tasks = options.max_tasks,
                           .name = options.name};
    if (options.initializer != NULL) {
        named_call *call = calloc(1, sizeof(*call));
        stoa_err err = call == NULL ? stoa__fail(STOA_ENOMEM, "no memory for a pool")
                                    : copy_call(options.initializer, options.args, options.arg_count, 0, call);
        if (err != STOA_OK) {
            free(call);
            return err;
        }
        plan.arg = call;
        plan.prepare = prepare;
        plan.broke = broke;
        plan.dispose = dispose_call;
    }
    stoa_err err = stoa__pool_new(&plan, out_pool);
    if (err != STOA_OK && plan.arg != NULL) {
        dispose_call(plan.arg);
    }
    return err;
}

stoa_err
stoa_pool_shutdown(stoa_pool *pool, bool cancel, double timeout)
{
    stoa_deadline deadline;
    stoa_err err = pool == NULL ? stoa__fail(STOA_EINVAL, "pool is NULL") : read_timeout(timeout, &deadline);
    if (err != STOA_OK) {
        return err;
    }
    PyThreadState *state = stoa__current_state();
    if (state != NULL) {
        (void)PyEval_SaveThread();
    }
    stoa__pool_shutdown(pool, cancel);
    err = stoa__pool_wait(pool, false, deadline);
    if (state != NULL) {
        PyEval_RestoreThread(state);
    }
    return err;
}

void
stoa_pool_free(stoa_pool *pool)
{
    if (pool != NULL) {
        stoa__pool_unref(pool);
    }
}
