#include "host/inside.h"

#include "heap/error.h"
#include "proxy/proxy.h"
#include "proxy/thread_state.h"

stoa_err
stoa__inside(const stoa_inside_work *work)
{
    if (work->timeout != work->timeout) {
        return stoa__fail(STOA_EINVAL, "timeout is no number");
    }
    stoa_entry entry;
    stoa_err err = stoa__enter(work->record, &entry);
    if (err != STOA_OK) {
        return err;
    }
    stoa__side_apply_releases(work->record);
    err = work->run(work->arg);
    stoa__leave(&entry);
    return err;
}
