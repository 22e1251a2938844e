#include "proxy/stead.h"

#include "heap/memory.h"
#include "proxy/stop.h"

/* Do all wait still, up to the outermost, whose thread this is about? If not, it may be another one of that number by now. */
static bool
callers_wait(const stoa_work *work)
{
    while (work != NULL && stoa__stop_is_away(work)) {
        work = work->beneath;
    }
    return work == NULL;
}

/* The caller's state in the current interpreter, or NULL. It is there as long as we have the GIL: to be deleted it needs that,
 * which we have had since the caller was found waiting. */
static PyThreadState *
find_callers(const stoa_work *work)
{
    return callers_wait(work) ? stoa__thread_values_find(work->caller) : NULL;
}

bool
stoa__stead_begin(stoa_stead *stead, const stoa_work *work, PyThreadState *state)
{
    PyThreadState *callers = find_callers(work);
    stead->work = work;
    if (callers == NULL || !stoa__thread_values_get(callers, &stead->own)) {
        return false;
    }
    stoa__thread_values_exchange(state, &stead->own);
    return true;
}

void
stoa__stead_end(stoa_stead *stead, PyThreadState *state)
{
    stoa__thread_values_exchange(state, &stead->own);
    stoa__thread_values_put_back(find_callers(stead->work), &stead->own);
}

void
stoa__stead_enter(stoa_entry *entry, const stoa_work *work)
{
    for (const stoa_entry *below = entry->below; below != NULL; below = below->below) {
        if (below->entered == entry->entered) {
            return;
        }
    }
    stoa_stead *stead = stoa__alloc(sizeof(*stead));
    if (stead != NULL && stoa__stead_begin(stead, work, entry->entered)) {
        entry->stead = stead;
    }
    else {
        stoa__free(stead);
    }
}

void
stoa__stead_leave(stoa_entry *entry)
{
    stoa__stead_end(entry->stead, entry->entered);
    stoa__free(entry->stead);
    entry->stead = NULL;
}
