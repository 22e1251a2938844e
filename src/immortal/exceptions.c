#include "immortal/exceptions.h"

#include "immortal/interpreter_state.h"

/* One row a class: name, bases beside stoa.Error, what it means. Order as in stoa_exc. */
typedef struct stoa_exc_row {
    const char *name;
    PyObject **base; /* address of a builtin class, or NULL */
    const char *doc;
} stoa_exc_row;

static const stoa_exc_row rows[STOA_EXC_COUNT] = {
    [STOA_EXC_Error] = {"stoa.Error", NULL, "Base class of what Stoa raises."},
    [STOA_EXC_NotFreezable] = {"stoa.NotFreezable", &PyExc_TypeError,
                               "The object, or one inside it, cannot be frozen or shared.\n\n"
                               "path: where it is, as in \"$['users'][3].name\"\ntype_name: its type"},
    [STOA_EXC_NameTaken] = {"stoa.NameTaken", &PyExc_ValueError,
                            "Something is published under this name already."},
    [STOA_EXC_InterpreterGone] = {"stoa.InterpreterGone", &PyExc_RuntimeError,
                                  "The interpreter that would have to do it is closed."},
    [STOA_EXC_ReleasedProxy] = {"stoa.ReleasedProxy", &PyExc_ReferenceError, "The proxy was released."},
    [STOA_EXC_RemoteError] = {"stoa.RemoteError", NULL,
                              "An exception of another interpreter whose type does not exist in this one.\n\n"
                              "type_name: its type\ntext: its message"},
    [STOA_EXC_Deadlock] = {"stoa.Deadlock", &PyExc_RuntimeError, "Waiting would never end."},
    [STOA_EXC_Timeout] = {"stoa.Timeout", &PyExc_TimeoutError, "The time allowed ran out."},
    [STOA_EXC_UnsupportedPython] = {"stoa.UnsupportedPython", &PyExc_ImportError,
                                    "This Python is none that this Stoa knows."},
    [STOA_EXC_ShutDown] = {"stoa.ShutDown", NULL, "The queue was shut down."},
    [STOA_EXC_BrokenLock] = {"stoa.BrokenLock", &PyExc_RuntimeError,
                             "The interpreter that held the lock was closed.\n\n"
                             "What the lock guards may be half done: put it right, then release() the lock."},
};

/* queue.ShutDown from 3.13 on. New reference; Py_None: there is none; NULL: error. */
static PyObject *
shutdown_base(void)
{
    PyObject *queue = PyImport_ImportModule("queue");
    if (queue == NULL) {
        return NULL;
    }
    PyObject *base = PyObject_GetAttrString(queue, "ShutDown");
    Py_DECREF(queue);
    if (base == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return base;
}

static PyObject *
make_class(stoa_exc which)
{
    if (which == STOA_EXC_Error) {
        return PyErr_NewExceptionWithDoc(rows[which].name, rows[which].doc, NULL, NULL);
    }
    PyObject *error = stoa__exception(STOA_EXC_Error);
    if (error == NULL) {
        return NULL;
    }
    PyObject *second = which == STOA_EXC_ShutDown ? shutdown_base()
                       : rows[which].base != NULL ? Py_NewRef(*rows[which].base)
                                                  : Py_NewRef(Py_None);
    if (second == NULL) {
        return NULL;
    }
    PyObject *bases = second == Py_None ? PyTuple_Pack(1, error) : PyTuple_Pack(2, error, second);
    Py_DECREF(second);
    if (bases == NULL) {
        return NULL;
    }
    PyObject *made = PyErr_NewExceptionWithDoc(rows[which].name, rows[which].doc, bases, NULL);
    Py_DECREF(bases);
    return made;
}

static PyObject *
make_out_of_time(void)
{
    return PyErr_NewExceptionWithDoc("stoa.OutOfTime",
                                     "The caller of this code has no more time: it was told Timeout, and "
                                     "what comes of the code is dropped.",
                                     PyExc_BaseException, NULL);
}

/* `which` STOA_EXC_COUNT: OutOfTime. */
static PyObject *
find_or_make(const char *name, stoa_exc which)
{
    PyObject *classes = stoa__interpreter_keeps("stoa.exceptions", PyDict_New);
    if (classes == NULL) {
        return NULL;
    }
    PyObject *key = PyUnicode_FromString(name);
    if (key == NULL) {
        return NULL;
    }
    PyObject *found = PyDict_GetItemWithError(classes, key);
    if (found == NULL && !PyErr_Occurred()) {
        /* may run other threads: the first to enter its class wins */
        PyObject *made = which == STOA_EXC_COUNT ? make_out_of_time() : make_class(which);
        found = made == NULL ? NULL : PyDict_SetDefault(classes, key, made);
        Py_XDECREF(made);
    }
    Py_DECREF(key);
    return found;
}

PyObject *
stoa__exception(stoa_exc which)
{
    return find_or_make(rows[which].name, which);
}

PyObject *
stoa__exception_out_of_time(void)
{
    return find_or_make("stoa.OutOfTime", STOA_EXC_COUNT);
}

/* The class that stands for a code; borrowed, NULL with an exception set. */
static PyObject *
class_of(stoa_err err)
{
    switch (err) {
    case STOA_EINVAL:
    case STOA_EUTF8:
        return PyExc_ValueError;
    case STOA_ESTATE:
    case STOA_EFORKED:
        return PyExc_RuntimeError;
    case STOA_ETYPE:
        return PyExc_TypeError;
    case STOA_ENOTFOUND:
        return PyExc_KeyError;
    case STOA_EOS:
        return PyExc_OSError;
    case STOA_ENOTFREEZABLE:
    case STOA_ECYCLE:
        return stoa__exception(STOA_EXC_NotFreezable);
    case STOA_EEXIST:
        return stoa__exception(STOA_EXC_NameTaken);
    case STOA_ETIMEDOUT:
        return stoa__exception(STOA_EXC_Timeout);
    case STOA_EGONE:
        return stoa__exception(STOA_EXC_InterpreterGone);
    case STOA_EVERSION:
        return stoa__exception(STOA_EXC_UnsupportedPython);
    case STOA_EDEADLOCK:
        return stoa__exception(STOA_EXC_Deadlock);
    case STOA_EBROKEN:
        return stoa__exception(STOA_EXC_BrokenLock);
    default:
        return stoa__exception(STOA_EXC_Error);
    }
}

/* This thread's message without the symbol in front of it; valid UTF-8 or not. New reference. */
static PyObject *
message_text(stoa_err err)
{
    const char *message = stoa_error_message(), *symbol = stoa_err_name(err);
    size_t length = strlen(symbol);
    if (strncmp(message, symbol, length) == 0 && message[length] == ':') {
        message += length + 1;
        message += *message == ' ';
    }
    else {
        message = stoa_err_text(err); /* of another failure: do not tell it as this one's */
    }
    return PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
}

PyObject *
stoa__raise(stoa_err err)
{
    if (err == STOA_EPYTHON && PyErr_Occurred()) {
        return NULL;
    }
    if (err == STOA_EINTERRUPTED && (PyErr_CheckSignals() < 0 || PyErr_Occurred())) {
        return NULL;
    }
    return stoa__raise_as(err == STOA_ENOMEM         ? PyExc_MemoryError
                          : err == STOA_EINTERRUPTED ? PyExc_InterruptedError
                                                     : class_of(err),
                          err);
}

PyObject *
stoa__raise_as(PyObject *type, stoa_err err)
{
    PyObject *text = message_text(err);
    if (text != NULL && type != NULL) {
        PyErr_SetObject(type, text);
    }
    Py_XDECREF(text);
    return NULL;
}

PyObject *
stoa__raise_not_freezable(const char *path, const char *type_name, const char *why_and_remedy)
{
    PyObject *type = stoa__exception(STOA_EXC_NotFreezable);
    PyObject *message = NULL, *error = NULL, *path_str = NULL, *name_str = NULL;
    if (type == NULL) {
        return NULL;
    }
    path_str = PyUnicode_DecodeUTF8(path, (Py_ssize_t)strlen(path), "replace");
    name_str = PyUnicode_DecodeUTF8(type_name, (Py_ssize_t)strlen(type_name), "replace");
    if (path_str != NULL && name_str != NULL) {
        message = PyUnicode_FromFormat("%U: '%U': %s", path_str, name_str, why_and_remedy);
    }
    if (message != NULL) {
        error = PyObject_CallOneArg(type, message);
    }
    if (error != NULL && PyObject_SetAttrString(error, "path", path_str) == 0 &&
        PyObject_SetAttrString(error, "type_name", name_str) == 0) {
        PyErr_SetObject(type, error);
    }
    Py_XDECREF(message);
    Py_XDECREF(error);
    Py_XDECREF(path_str);
    Py_XDECREF(name_str);
    return NULL;
}

PyObject *
stoa__raise_unsupported(const char *fact)
{
    PyObject *type = stoa__exception(STOA_EXC_UnsupportedPython);
    if (type != NULL) {
        PyErr_Format(type, "Stoa cannot work with this Python (%.40s): %s", Py_GetVersion(), fact);
    }
    return NULL;
}
