#include "proxy/signals.h"

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
    if (PyInterpreterState_Get() == main_interp || stoa__thread_state_below(main_interp) == NULL) {
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
