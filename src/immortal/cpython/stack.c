/* 3.12 and 3.15 export the function that faulthandler uses. 3.13 and 3.14 hide it: there the frames are walked here. */
#include "immortal/cpython/stack.h"

#include <Python.h>

#include <unistd.h>

#if PY_MINOR_VERSION == 13 || PY_MINOR_VERSION == 14
#define WALK_FRAMES 1
#else
#define WALK_FRAMES 0
#endif

#if WALK_FRAMES
#define Py_BUILD_CORE 1
#if PY_MINOR_VERSION == 13
#include <internal/pycore_frame.h>
#else
#include <internal/pycore_interpframe.h>
#endif
#undef Py_BUILD_CORE
#endif
#if PY_MINOR_VERSION == 12
void _Py_DumpTraceback(int fd, PyThreadState *tstate);
#endif

#include "immortal/cpython/cpython.h"

static void
put(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(fd, text, size);
        if (wrote <= 0) {
            return;
        }
        text += wrote;
        size -= (size_t)wrote;
    }
}

static void
put_text(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

static void
put_number(int fd, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) {
        digits[--at] = '-';
    }
    put(fd, digits + at, sizeof digits - at);
}

#if WALK_FRAMES
#define DEEPEST 100

static void
put_str(int fd, PyObject *str)
{
    if (str == NULL || str->ob_type != &PyUnicode_Type || !stoa__str_is_compact(str)) {
        put_text(fd, "?");
        return;
    }
    unsigned kind = ((PyASCIIObject *)str)->state.kind;
    Py_ssize_t length = ((PyASCIIObject *)str)->length;
    for (Py_ssize_t i = 0; i < length && i < 400; i++) {
        uint32_t c = stoa__str_read(kind, stoa__str_data(str), i);
        char byte = c >= ' ' && c < 127 ? (char)c : '?';
        put(fd, &byte, 1);
    }
}

static void
put_stack(int fd, PyThreadState *thread)
{
    struct _PyInterpreterFrame *frame = thread->current_frame;
    put_text(fd, "Python stack of this thread (innermost first):\n");
    for (int depth = 0; frame != NULL && depth < DEEPEST; frame = frame->previous) {
        if (frame->owner == FRAME_OWNED_BY_CSTACK
#if PY_MINOR_VERSION == 14
            || frame->owner == FRAME_OWNED_BY_INTERPRETER
#endif
        ) {
            continue;
        }
#if PY_MINOR_VERSION == 13
        PyObject *code = frame->f_executable;
#else
        PyObject *code = PyStackRef_AsPyObjectBorrow(frame->f_executable);
#endif
        if (code == NULL || !PyCode_Check(code)) {
            continue;
        }
        put_text(fd, "  File \"");
        put_str(fd, ((PyCodeObject *)code)->co_filename);
        put_text(fd, "\", line ");
        put_number(fd, PyUnstable_InterpreterFrame_GetLine(frame));
        put_text(fd, " in ");
        put_str(fd, ((PyCodeObject *)code)->co_qualname);
        put_text(fd, "\n");
        depth++;
    }
}
#endif

void
stoa__write_python_stack(int fd)
{
#if PY_MINOR_VERSION == 12
    PyThreadState *thread = _PyThreadState_UncheckedGet();
#else
    PyThreadState *thread = PyThreadState_GetUnchecked();
#endif
    if (thread == NULL) {
        thread = PyGILState_GetThisThreadState(); /* it gave the GIL up, as ctypes does; its frames stay its own */
    }
    if (thread == NULL || thread->interp == NULL) {
        put_text(fd, "this thread is in no interpreter\n");
        return;
    }
    put_text(fd, "interpreter ");
    put_number(fd, PyInterpreterState_GetID(thread->interp));
    put_text(fd, "\n");
#if WALK_FRAMES
    put_stack(fd, thread);
#elif PY_MINOR_VERSION == 12
    _Py_DumpTraceback(fd, thread);
#else
    const char *trouble = PyUnstable_DumpTraceback(fd, thread);
    if (trouble != NULL) {
        put_text(fd, trouble);
        put_text(fd, "\n");
    }
#endif
}
