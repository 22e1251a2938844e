#define Py_BUILD_CORE 1
#include <Python.h>

#include <internal/pycore_interp.h>
#undef Py_BUILD_CORE

#include "immortal/cpython/arenas.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "immortal/cpython/gilstate.h"
#include "immortal/cpython/interp_list.h"

#define AT_ONCE 256

/* Free: start 0. Taken by who gets start from 0 to 1; no lock, since a fork may come at any time. */
typedef struct note {
    _Atomic uintptr_t start;
    uintptr_t size;
    int64_t interp;
} note;

typedef struct notes {
    struct notes *next; /* const */
    note at[AT_ONCE];
} notes;

static _Atomic(notes *) all;
static PyObjectArenaAllocator below; /* const once we are in between */
static _Thread_local bool refusing, refused;

static bool
enter(notes *list, void *start, size_t size, int64_t interp)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        uintptr_t nobody = 0;
        if (atomic_compare_exchange_strong(&list->at[i].start, &nobody, 1)) {
            list->at[i].size = size;
            list->at[i].interp = interp;
            atomic_store(&list->at[i].start, (uintptr_t)start);
            return true;
        }
    }
    return false;
}

/* Without memory for the note it stays unknown, as those of before we came. */
static void
note_arena(void *start, size_t size, int64_t interp)
{
    for (notes *list = atomic_load(&all); list != NULL; list = list->next) {
        if (enter(list, start, size, interp)) {
            return;
        }
    }
    notes *more = calloc(1, sizeof(*more));
    if (more != NULL) {
        (void)enter(more, start, size, interp);
        more->next = atomic_load(&all);
        while (!atomic_compare_exchange_weak(&all, &more->next, more)) {
        }
    }
}

/* Interpreters that use the main one's allocator get nothing of their own. */
static bool
has_own(const PyThreadState *state)
{
    return state != NULL && state->interp != PyInterpreterState_Main() &&
           (state->interp->feature_flags & Py_RTFLAGS_USE_MAIN_OBMALLOC) == 0;
}

static void *
get_arena(void *context, size_t size)
{
    (void)context;
    if (refusing) {
        refused = true;
        return NULL;
    }
    void *start = below.alloc(below.ctx, size);
    PyThreadState *state = stoa__current_state();
    if (start != NULL && has_own(state)) {
        note_arena(start, size, PyInterpreterState_GetID(state->interp));
    }
    return start;
}

static void
give_arena(void *context, void *start, size_t size)
{
    (void)context;
    for (notes *list = atomic_load(&all); list != NULL; list = list->next) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            uintptr_t here = (uintptr_t)start; /* forgotten before the addresses can come back */
            if (atomic_compare_exchange_strong(&list->at[i].start, &here, 0)) {
                break;
            }
        }
    }
    below.free(below.ctx, start, size);
}

void
stoa__arenas_watch(void)
{
    static _Atomic bool watching;
    if (!atomic_exchange(&watching, true)) {
        PyObject_GetArenaAllocator(&below);
        PyObjectArenaAllocator between = {NULL, get_arena, give_arena};
        PyObject_SetArenaAllocator(&between);
    }
}

void
stoa__arenas_refuse(bool refuse)
{
    refusing = refuse;
    refused = false;
}

bool
stoa__arenas_refused(void)
{
    bool was = refused;
    refused = false;
    return was;
}

void
stoa__arenas_left_over(void (*add)(uintptr_t start, uintptr_t end, void *arg), void *arg)
{
    for (notes *list = atomic_load(&all); list != NULL; list = list->next) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            uintptr_t start = atomic_load(&list->at[i].start);
            if (start > 1 && !stoa__interp_lives(list->at[i].interp)) {
                add(start, start + list->at[i].size, arg);
            }
        }
    }
}
