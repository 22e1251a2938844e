#include "immortal/cpython/thread_list.h"

void
stoa__thread_list_let_clear(PyInterpreterState *interp)
{
    PyThreadState *state = PyInterpreterState_ThreadHead(interp);
    for (; state != NULL; state = PyThreadState_Next(state)) { /* neither of the two takes a lock */
        state->_status.cleared = 0;
    }
}
