#include "proxy/shield.h"

#include "proxy/interrupt.h"

bool
stoa__shield(bool up)
{
    stoa_waiter *self = stoa__waiter_here_if_any();
    if (self == NULL) { /* nobody can raise anything in it */
        return false;
    }
    bool before = atomic_exchange(&self->shielded, up);
    if (up != before && stoa__interrupts_wait(self)) {
        if (up) {
            stoa__interrupts_recall(self);
        }
        else {
            stoa__interrupts_settle(self, NULL);
        }
    }
    return before;
}
