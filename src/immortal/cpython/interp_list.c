#include "immortal/cpython/interp_list.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include "stoa/base.h"

/* {head, main, next_id}: three words of _PyRuntime, in this order since 3.7. Const once found. */
static PyInterpreterState **found;

/* _PyRuntime is exported by every build, its type only by internal headers. */
extern char _PyRuntime[];

static size_t
runtime_size(void)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    if (dladdr1(_PyRuntime, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL) {
        return 0;
    }
    return symbol->st_size;
}

void
stoa__interp_list_init(void)
{
    PyInterpreterState *head = PyInterpreterState_Head(), *main_interp = PyInterpreterState_Main();
    size_t words = runtime_size() / sizeof(void *);
    void **runtime = (void **)(void *)_PyRuntime;
    for (size_t i = 0; found == NULL && i + 2 < words; i++) {
        int64_t next_id = (int64_t)(intptr_t)runtime[i + 2];
        if (runtime[i] == head && runtime[i + 1] == main_interp && next_id > PyInterpreterState_GetID(head) &&
            next_id < INT32_MAX) {
            found = (PyInterpreterState **)&runtime[i];
        }
    }
}

void
stoa__interp_list_keep_main(void)
{
    PyInterpreterState *head = PyInterpreterState_Head(), *main_interp = PyInterpreterState_Main();
    /* newest first: the main one is the last */
    if (found == NULL || *found != head || head == main_interp || PyInterpreterState_Next(main_interp) != NULL) {
        return;
    }
    *found = main_interp;
    if (PyInterpreterState_Head() != main_interp) {
        *found = head;
    }
}

/* Where in the struct the link to the next one lies: first of all in 3.12, from 3.13 on behind some 900 words of calls that are
 * pending. The struct has tens of thousands of words in every version. */
#define LINK_WORDS 2048

bool
stoa__interp_list_hide(PyInterpreterState *interp)
{
    PyInterpreterState *next = PyInterpreterState_Next(interp), *before = PyInterpreterState_Head();
    if (found == NULL || *found != before || interp == PyInterpreterState_Main()) {
        return false;
    }
    if (before == interp) {
        *found = next;
        return PyInterpreterState_Head() == next;
    }
    while (before != NULL && PyInterpreterState_Next(before) != interp) {
        before = PyInterpreterState_Next(before);
    }
    void **words = (void **)(void *)before;
    for (size_t i = 0; before != NULL && i < LINK_WORDS; i++) {
        if (words[i] == interp) {
            words[i] = next;
            if (PyInterpreterState_Next(before) == next) {
                return true;
            }
            words[i] = interp; /* it was something else */
        }
    }
    return false;
}

/* Exported by all versions, in internal headers of some. */
PyAPI_FUNC(PyInterpreterState *) _PyInterpreterState_LookUpID(int64_t id);

bool
stoa__interp_lives(int64_t id)
{
    PyObject *raised = PyErr_GetRaisedException();
    bool lives = _PyInterpreterState_LookUpID(id) != NULL;
    PyErr_Clear();
    PyErr_SetRaisedException(raised);
    return lives;
}
