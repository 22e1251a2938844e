#include "proxy/errand.h"

stoa_err
stoa__errand_begin_held(stoa_interp_record *record, stoa_errand *errand)
{
    stoa_waiter *self = stoa__waiter_here();
    if (self == NULL) {
        stoa__interp_leave(record);
        return STOA_ENOMEM;
    }
    errand->before = atomic_load(&self->errand);
    if (!stoa__thread_is_inside(record)) {
        (void)stoa__errand_is(self, record); /* before it is seen to be inside */
    }
    stoa_err err = stoa__visit_held(record, &errand->visit);
    if (err != STOA_OK) {
        (void)stoa__errand_is(self, errand->before);
    }
    return err;
}

stoa_err
stoa__errand_begin(stoa_interp_record *record, stoa_errand *errand)
{
    stoa_err err = stoa__interp_enter(record);
    return err != STOA_OK ? err : stoa__errand_begin_held(record, errand);
}

stoa_err
stoa__errand_to_tell(stoa_interp_record *record, stoa_errand *errand)
{
    stoa_err err = stoa__interp_enter_occupied(record);
    return err != STOA_OK ? err : stoa__errand_begin_held(record, errand);
}

void
stoa__errand_end(stoa_errand *errand)
{
    stoa__visit_end(&errand->visit);
    (void)stoa__errand_is(stoa__waiter_here(), errand->before);
}
