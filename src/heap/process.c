#include "heap/process.h"

#include "heap/arena.h"
#include "heap/error.h"
#include "heap/os.h"
#include "heap/process_struct.h"

stoa_process *stoa__process;
uintptr_t stoa__public_base;
uintptr_t stoa__alias_delta;
size_t stoa__reserved;

static stoa_lock open_lock = STOA_LOCK_INIT(STOA_RANK_PROCESS);
static _Atomic uint32_t opened; /* release: stoa__process and the copies of its constants are there */

static bool
is_process(const void *memory, size_t size)
{
    const stoa_process *process = memory;
    return size >= offsetof(stoa_process, memory) &&
           atomic_load_explicit(&process->magic, memory_order_acquire) == STOA_PROCESS_MAGIC;
}

static stoa_err
init_parts(stoa_process *process)
{
    stoa__arena_offer(&process->arena);
    stoa__fork_init(&process->fork);
    stoa__interps_init(&process->interps);
    stoa__names_init(&process->names);
    stoa__handles_init(&process->handles);
    stoa__holds_init(&process->holds);
    stoa__epoch_init(&process->epoch);
    stoa__things_init(&process->things);
    stoa__lock_init(&process->waits, STOA_RANK_WAITS);
    stoa__counters_init(&process->counters);
    stoa__guard_init(&process->guard);
    return stoa__space_init(&process->space);
}

/* The magic is written last: until then no other copy takes the memory for a process struct. */
static stoa_err
make_process(void)
{
    void *memory;
    stoa_err err = stoa__os_alloc_named(sizeof(stoa_process), &memory);
    if (err != STOA_OK) {
        return err;
    }
    stoa_process *process = memory;
    process->version = STOA_PROCESS_VERSION;
    process->size = sizeof *process;
    stoa__memory_init(&process->memory);
    err = init_parts(process);
    if (err == STOA_OK) {
        stoa__process = process; /* the regions' memory comes through it */
        err = stoa__regions_init(&process->regions);
        if (err == STOA_OK) {
            atomic_store_explicit(&process->magic, STOA_PROCESS_MAGIC, memory_order_release);
            return STOA_OK;
        }
        stoa__process = NULL;
        stoa__space_end(&process->space);
    }
    stoa__os_release(memory, stoa__os_whole_pages(sizeof *process));
    return err;
}

static stoa_err
adopt_process(stoa_process *process)
{
    if (process->version != STOA_PROCESS_VERSION || process->size != sizeof *process) {
        return stoa__fail(
            STOA_EVERSION,
            "another copy of Stoa in this process came first and has heap layout %u (%u bytes), this one %u "
            "(%zu bytes); install one version of Stoa for the host and its Pythons",
            (unsigned)process->version, (unsigned)process->size, (unsigned)STOA_PROCESS_VERSION,
            sizeof *process);
    }
    stoa__process = process;
    return STOA_OK;
}

static stoa_err
open_locked(void)
{
    stoa_err err = stoa__fork_install();
    if (err != STOA_OK) {
        return err;
    }
    /* without /proc other copies cannot be found, and cannot find us: then this copy is alone */
    int token = stoa__os_process_lock();
    stoa_process *found = stoa__os_find_named(is_process);
    err = found != NULL ? adopt_process(found) : make_process();
    stoa__os_process_unlock(token);
    if (err == STOA_OK) {
        stoa__public_base = stoa__process->space.public_base;
        stoa__alias_delta = stoa__process->space.alias_delta;
        stoa__reserved = stoa__process->space.reserved;
        stoa__os_pin_library(
            (const void *)(uintptr_t)stoa__process_open); /* others hold pointers to our functions */
    }
    return err;
}

stoa_err
stoa__process_open(void)
{
    if (atomic_load_explicit(&opened, memory_order_acquire) != 0) {
        return STOA_OK;
    }
    stoa__lock(&open_lock);
    stoa_err err = STOA_OK;
    if (atomic_load_explicit(&opened, memory_order_relaxed) == 0) {
        err = open_locked();
        if (err == STOA_OK) {
            atomic_store_explicit(&opened, 1, memory_order_release);
        }
    }
    stoa__unlock(&open_lock);
    return err;
}

stoa_process *
stoa__process_fork_prepare(void)
{
    stoa__lock(&open_lock);
    return stoa__process;
}

void
stoa__process_fork_parent(void)
{
    stoa__unlock(&open_lock);
}

void
stoa__process_fork_child(void)
{
    stoa__lock_reset(&open_lock);
}
