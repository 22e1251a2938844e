#include "proxy/signals.h"

#include <signal.h>

#include "immortal/cpython/eval.h"
#include "proxy/exception.h"
#include "proxy/thread_state.h"

bool
stoa__handles_signals(void)
{
    return stoa__is_signal_thread();
}

int
stoa__check_signals(void)
{
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    PyInterpreterState *main_interp = PyInterpreterState_Main();
    /* others have nothing to do in there, and its GIL may not come by for long */
    if (!stoa__handles_signals() || PyInterpreterState_Get() == main_interp ||
        stoa__thread_state_below(main_interp) == NULL) {
        return 0;
    }
    stoa_interp_record *record = stoa__main_record();
    stoa_entry entry;
    if (record == NULL || stoa__enter(record, &entry) != STOA_OK) { /* it is ending: no handlers any more */
        if (record != NULL) {
            stoa__interp_unref(record);
        }
        return 0;
    }
    stoa_parcel raised;
    int result = PyErr_CheckSignals();
    if (result < 0) {
        stoa__exception_pack(&raised);
    }
    stoa__leave(&entry);
    stoa__interp_unref(record);
    if (result < 0) {
        stoa__exception_raise(&raised);
    }
    return result;
}

static PyObject *
getsignal(PyObject *unused, PyObject *argument)
{
    (void)unused;
    long number = PyLong_AsLong(argument);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (number < 1 || number >= NSIG) {
        PyErr_SetString(PyExc_ValueError, "signal number out of range");
        return NULL;
    }
    void (*handler)(int) = PyOS_getsig((int)number);
    if (handler != SIG_DFL && handler != SIG_IGN) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLong(handler == SIG_IGN); /* as _signal.SIG_DFL, SIG_IGN */
}

static PyMethodDef getsignal_method = {"getsignal", getsignal, METH_O,
                                       "getsignal($module, signalnum, /)\n--\n\n"
                                       "SIG_DFL, SIG_IGN, or None: handlers are the main interpreter's."};

/* The module `signal` looks it up in `_signal` each time. */
int
stoa__signals_hide(void)
{
    PyObject *module = PyImport_ImportModule("_signal");
    PyObject *function = module == NULL ? NULL : PyCFunction_New(&getsignal_method, NULL);
    int result = function == NULL ? -1 : PyObject_SetAttrString(module, getsignal_method.ml_name, function);
    Py_XDECREF(function);
    Py_XDECREF(module);
    return result;
}
