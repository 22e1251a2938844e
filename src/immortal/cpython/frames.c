#include "immortal/cpython/frames.h"

#define Py_BUILD_CORE 1
#if PY_MINOR_VERSION <= 13
#include <internal/pycore_frame.h>
#else
#include <internal/pycore_interpframe.h>
#endif
#undef Py_BUILD_CORE

typedef struct _PyInterpreterFrame frame_struct;

static frame_struct *
newest_frame(const PyThreadState *state)
{
#if PY_MINOR_VERSION == 12
    return state->cframe->current_frame;
#else
    return state->current_frame;
#endif
}

/* NULL: a frame between evaluation loops, without code. */
static const PyCodeObject *
code_of(const frame_struct *frame)
{
#if PY_MINOR_VERSION == 12
    PyObject *code = (PyObject *)frame->f_code;
#elif PY_MINOR_VERSION == 13
    PyObject *code = frame->f_executable;
#else
    PyObject *code = PyStackRef_AsPyObjectBorrow(frame->f_executable);
#endif
    return code != NULL && PyCode_Check(code) ? (const PyCodeObject *)code : NULL;
}

/* Where the used part of its stack ends. */
static uintptr_t
top_of(const frame_struct *frame, uintptr_t bottom, uintptr_t limit, uintptr_t known)
{
#if PY_MINOR_VERSION <= 13
    uintptr_t top = frame->stacktop < 0 ? limit : (uintptr_t)(frame->localsplus + frame->stacktop);
#else
    uintptr_t top = frame->stackpointer == NULL ? limit : (uintptr_t)frame->stackpointer;
#endif
    if (known >= bottom && known <= limit && known < top) {
        top = known;
    }
    return top >= bottom && top <= limit ? top : limit;
}

static void
add_chunks(const PyThreadState *state, void (*add)(uintptr_t, uintptr_t, void *), void *arg)
{
    const _PyStackChunk *chunk = state->datastack_chunk;
    if (chunk == NULL) {
        return;
    }
    add((uintptr_t)state->datastack_top, (uintptr_t)state->datastack_limit, arg);
    for (chunk = chunk->previous; chunk != NULL; chunk = chunk->previous) {
        add((uintptr_t)&chunk->data[chunk->top], (uintptr_t)chunk + chunk->size, arg);
    }
#if PY_MINOR_VERSION >= 15
    chunk = state->datastack_cached_chunk;
    if (chunk != NULL) {
        add((uintptr_t)chunk->data, (uintptr_t)chunk + chunk->size, arg);
    }
#endif
}

void
stoa__frames_unused(PyInterpreterState *interp, const void *top,
                    void (*add)(uintptr_t start, uintptr_t end, void *arg), void *arg)
{
    for (PyThreadState *state = PyInterpreterState_ThreadHead(interp); state != NULL;
         state = PyThreadState_Next(state)) {
        add_chunks(state, add, arg);
        for (const frame_struct *frame = newest_frame(state); frame != NULL; frame = frame->previous) {
            const PyCodeObject *code = code_of(frame);
            if (code == NULL) {
                continue;
            }
            uintptr_t bottom = (uintptr_t)(frame->localsplus + code->co_nlocalsplus);
            uintptr_t limit = bottom + (uintptr_t)code->co_stacksize * sizeof(void *);
            add(top_of(frame, bottom, limit, (uintptr_t)top), limit, arg);
        }
    }
}
