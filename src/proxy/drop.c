#include "proxy/drop.h"

#include <stdlib.h>

#include "heap/handle.h"
#include "proxy/home_post.h"

typedef struct drop {
    stoa_work work;   /* first */
    PyObject *object; /* a reference of the owner's; NULL: given up. Whoever runs it, then whoever frees it */
} drop;

static void
drop_inside(stoa_work *work)
{
    drop *d = (drop *)work;
    PyObject *object = d->object;
    d->object = NULL;
    Py_DECREF(object);
}

/* Not run: the thread has ended. It is released once more, as an object without a home. */
static void
free_drop(stoa_work *work)
{
    drop *d = (drop *)work;
    stoa_handle handle;
    if (d->object != NULL && stoa__handle_new(work->owner, d->object, &handle) == STOA_OK) {
        stoa__handle_unref(handle);
    }
    free(d);
}

static bool
post(stoa_interp_record *record, PyObject *object, stoa_waiter *home)
{
    drop *d = calloc(1, sizeof(*d));
    if (d == NULL || stoa__work_init(&d->work, record, drop_inside, free_drop) != STOA_OK) {
        free(d);
        return false;
    }
    d->object = object;
    bool posted = stoa__home_post(home, &d->work) == STOA_OK;
    if (posted) {
        stoa__home_remind(record); /* nobody waits for it who would see to that later */
    }
    else {
        d->object = NULL;
    }
    stoa__work_unref(&d->work);
    return posted;
}

void
stoa__drop_at_home(stoa_interp_record *record, PyObject *object, stoa_waiter *home)
{
    if (home == stoa__waiter_here() || !post(record, object, home)) {
        Py_DECREF(object);
    }
    stoa__waiter_unref(home);
}
