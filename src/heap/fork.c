#include "heap/fork.h"

#include "heap/batch_struct.h"
#include "heap/error.h"
#include "heap/process_struct.h"
#include "heap/waiter.h"

#include <pthread.h>

void
stoa__fork_init(stoa_fork_state *state)
{
    stoa__lock_init(&state->lock, STOA_RANK_PROCESS);
    atomic_init(&state->forker, 0);
    atomic_init(&state->generation, 0);
    state->depth = 0;
}

uint64_t
stoa__fork_generation(void)
{
    return atomic_load_explicit(&stoa__process->fork.generation, memory_order_relaxed);
}

static bool
is_forking(const stoa_process *process)
{
    return atomic_load_explicit(&process->fork.forker, memory_order_relaxed) == (uintptr_t)pthread_self();
}

static void
prepare(void)
{
    stoa_process *process = stoa__process_fork_prepare();
    if (process == NULL) {
        return;
    }
    if (is_forking(process)) { /* another copy's handler has run before */
        process->fork.depth++;
        return;
    }
    stoa__lock_another(&process->fork.lock);
    atomic_store_explicit(&process->fork.forker, (uintptr_t)pthread_self(), memory_order_relaxed);
    process->fork.depth = 1;
    stoa__interps_fork_prepare(&process->interps);
    stoa__names_fork_prepare(&process->names);
    stoa__handles_fork_prepare(&process->handles);
    stoa__regions_fork_prepare(&process->regions);
    stoa__epoch_fork_prepare(&process->epoch);
    stoa__space_fork_prepare(&process->space);
    stoa__things_fork_prepare(&process->things);
    stoa__waiters_fork_prepare();
}

static void
parent(void)
{
    stoa_process *process = stoa__process;
    if (process != NULL && --process->fork.depth == 0) {
        stoa__waiters_fork_parent();
        stoa__things_fork_parent(&process->things);
        stoa__space_fork_parent(&process->space);
        stoa__epoch_fork_parent(&process->epoch);
        stoa__regions_fork_parent(&process->regions);
        stoa__handles_fork_parent(&process->handles);
        stoa__names_fork_parent(&process->names);
        stoa__interps_fork_parent(&process->interps);
        atomic_store_explicit(&process->fork.forker, 0, memory_order_relaxed);
        stoa__unlock(&process->fork.lock);
    }
    stoa__process_fork_parent();
}

/* The forking thread's own open batches. */
static void
poison_own_batches(const stoa_epoch *epoch)
{
    for (stoa_epoch_slot *slot = epoch->oldest; slot != NULL; slot = slot->next) {
        stoa_batch_state *state = (stoa_batch_state *)slot;
        if (pthread_equal(state->thread, pthread_self()) != 0) {
            stoa__batch_poison(state);
        }
    }
}

static void
child(void)
{
    stoa_process *process = stoa__process;
    if (process == NULL || --process->fork.depth != 0) {
        stoa__process_fork_child();
        return;
    }
    atomic_fetch_add_explicit(&process->fork.generation, 1, memory_order_relaxed);
    stoa__space_fork_child(&process->space);
    poison_own_batches(&process->epoch);
    stoa_deferred *due = stoa__epoch_fork_child(&process->epoch);
    stoa__regions_fork_child(&process->regions);
    stoa__handles_fork_child(&process->handles);
    stoa__names_fork_child(&process->names);
    stoa__interps_fork_child_locks(&process->interps);
    stoa__things_fork_child_locks(&process->things);
    stoa__waiters_fork_child();
    stoa__guard_fork_child(&process->guard);
    atomic_store_explicit(&process->fork.forker, 0, memory_order_relaxed);
    stoa__lock_reset(&process->fork.lock);
    stoa__process_fork_child();
    /* all locks are free from here on */
    stoa__epoch_dispose(due);
    stoa__interps_fork_child_records(&process->interps);
    stoa__things_fork_child(&process->things);
}

stoa_err
stoa__fork_install(void)
{
    static bool installed; /* guarded by the lock of stoa__process_open */
    if (!installed) {
        int error = pthread_atfork(prepare, parent, child);
        if (error != 0) {
            return stoa__fail_os(error, "the handlers for fork could not be installed");
        }
        installed = true;
    }
    return STOA_OK;
}
