#include "heap/pages.h"

#include "heap/os.h"

#define UNIT ((size_t)64 << 10)
#define FIRST_PROBE ((size_t)16 << 20)
#define LEAST_PAUSE ((size_t)64 << 20)
#define MOST_PAUSE ((size_t)4 << 30)
#define PROBE_SHARE 64 /* a probe that loses may cost 1/64 of what the small pages until the next one cost */
#define ZERO_WORTH ((size_t)128 << 10) /* below, asking for the kernel's service costs more than it saves */
#define ZERO_PROBE 64                  /* calls */
#define MOST_HUGE \
    (4 * STOA_HUGE_PAGE) /* at once: the fixed price is spread, the processor's cache is not flooded */

void
stoa__pages_init(stoa_pages *pages)
{
    *pages = (stoa_pages){.until_probe = FIRST_PROBE};
}

static inline uint32_t
load(const _Atomic uint32_t *cost)
{
    return atomic_load_explicit(cost, memory_order_relaxed);
}

/* Moves a cost half of the way to a new sample. */
static void
learn(_Atomic uint32_t *cost, int64_t nanoseconds, size_t bytes)
{
    uint64_t sample = (uint64_t)nanoseconds * UNIT / bytes + 1;
    uint32_t now = sample > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)sample;
    uint32_t old = load(cost);
    atomic_store_explicit(cost, old == 0 ? now : (old + now) / 2, memory_order_relaxed);
}

bool
stoa__pages_prefer_huge(const stoa_pages *pages)
{
    uint32_t small = load(&pages->small_cost);
    uint32_t huge = load(&pages->huge_cost);
    return load(&pages->no_huge) == 0 && huge != 0 && (small == 0 || huge <= small);
}

/* Is it time to try the way that lost? Counts `size` bytes of the other one. */
static bool
probe_now(stoa_pages *pages, size_t size)
{
    if (load(&pages->no_huge) != 0 || load(&pages->small_cost) == 0) {
        return false;
    }
    size_t left = atomic_load_explicit(&pages->until_probe, memory_order_relaxed);
    if (left > size) {
        atomic_store_explicit(&pages->until_probe, left - size, memory_order_relaxed);
        return false;
    }
    return true;
}

#define FILL_PROBE 64 /* pieces */

bool
stoa__pages_fill_by_kernel(stoa_pages *pages)
{
    uint32_t piece = atomic_fetch_add_explicit(&pages->fills, 1, memory_order_relaxed);
    uint32_t by_hand = load(&pages->fill_cost[0]), by_kernel = load(&pages->fill_cost[1]);
    if (by_kernel == 0 || by_hand == 0) {
        return by_kernel == 0;
    }
    return (by_kernel <= by_hand) != (piece % FILL_PROBE == FILL_PROBE - 1);
}

void
stoa__pages_filled(stoa_pages *pages, bool by_kernel, int64_t nanoseconds, size_t bytes)
{
    learn(&pages->fill_cost[by_kernel], nanoseconds, bytes);
}

/* Backs whole huge pages. */
static void
make_huge(stoa_pages *pages, char *writable, char *readable, size_t size, bool probe)
{
    int64_t start = stoa__os_thread_time();
    if (!stoa__os_make_huge(writable, readable, size)) {
        atomic_store_explicit(&pages->no_huge, 1, memory_order_relaxed);
        return;
    }
    if (probe) { /* what it cost long ago says nothing */
        atomic_store_explicit(&pages->huge_cost, 0, memory_order_relaxed);
    }
    learn(&pages->huge_cost, stoa__os_thread_time() - start, size);
    if (!stoa__pages_prefer_huge(pages)) {
        uint64_t times = load(&pages->huge_cost) / (load(&pages->small_cost) + 1) + 1;
        uint64_t pause = times * size * PROBE_SHARE;
        pause = pause < LEAST_PAUSE ? LEAST_PAUSE : pause < MOST_PAUSE ? pause : MOST_PAUSE;
        atomic_store_explicit(&pages->until_probe, (size_t)pause, memory_order_relaxed);
    }
}

/* Which way gets small pages now? The one that lost gets its turn, too. */
static bool
zero_by_kernel(stoa_pages *pages, size_t size)
{
    if (size < ZERO_WORTH || load(&pages->no_filler) != 0) {
        return false;
    }
    uint32_t by_faults = load(&pages->zero_cost[0]), by_kernel = load(&pages->zero_cost[1]);
    if (by_kernel == 0 || by_faults == 0) {
        return by_kernel == 0;
    }
    uint32_t turn = atomic_fetch_add_explicit(&pages->zero_turn, 1, memory_order_relaxed);
    /* one dear sample says little: a neighbour, or memory that the host had to find */
    return (by_kernel / 2 <= by_faults) != (turn % ZERO_PROBE == ZERO_PROBE - 1);
}

/* Fresh pages, zeroed as they are taken and mapped all at once. Returns how many bytes were: pages that are there already
 * end it. */
static size_t
zero_pages(stoa_pages *pages, char *writable, size_t size)
{
    int filler = stoa__os_filler_open();
    size_t done = 0;
    if (filler < 0) {
        atomic_store_explicit(&pages->no_filler, 1, memory_order_relaxed);
    }
    else {
        done = stoa__os_fill_pages(filler, writable, NULL, size);
        stoa__os_filler_close(filler);
    }
    return done;
}

static bool
populate(stoa_pages *pages, char *writable, size_t size)
{
    bool by_kernel = zero_by_kernel(pages, size);
    int64_t start = stoa__os_thread_time();
    size_t done = by_kernel ? zero_pages(pages, writable, size) : 0;
    if (done < size && !stoa__os_populate(writable + done, size - done)) {
        return false;
    }
    if (size >= UNIT) {
        int64_t taken = stoa__os_thread_time() - start;
        learn(&pages->zero_cost[by_kernel], taken, size);
        learn(&pages->small_cost, taken, size);
    }
    return true;
}

size_t
stoa__pages_prepare(stoa_pages *pages, char *writable, char *readable, size_t least, size_t most, bool big)
{
    size_t done = 0;
    while (done < least) {
        size_t left = most - done;
        size_t huge = ((uintptr_t)(writable + done) & (STOA_HUGE_PAGE - 1)) == 0 ? left & ~(STOA_HUGE_PAGE - 1)
                                                                                 : 0;
        if (big && huge != 0) {
            bool prefer = stoa__pages_prefer_huge(pages);
            bool known = load(&pages->huge_cost) != 0;
            if (prefer || probe_now(pages, STOA_HUGE_PAGE)) {
                size_t now = !prefer || !known ? STOA_HUGE_PAGE : huge < MOST_HUGE ? huge : MOST_HUGE;
                make_huge(pages, writable + done, readable + done, now, !prefer);
                done += now;
                continue;
            }
        }
        /* small pages: what is asked for now, but not past a boundary where huge ones may start */
        size_t now = least - done;
        size_t to_boundary = STOA_HUGE_PAGE - ((uintptr_t)(writable + done) & (STOA_HUGE_PAGE - 1));
        now = now < to_boundary ? now : to_boundary;
        if (!populate(pages, writable + done, now)) {
            return 0;
        }
        done += now;
    }
    return done;
}
