/* Putting pages behind addresses: by which way, decided by what each way costs here and now.
 *
 * Problem: a page fault for every 4 KiB costs more than all the rest of freezing, and two threads that fault get in each
 * other's way. Two ways are cheaper: asking for many small pages at once, and huge pages. Which one wins is not known
 * ahead: on a bare machine huge pages are five times cheaper; in a virtual machine that reports its free memory to the
 * host, a huge page is nearly always one that the host must find first, and then small ones are five times cheaper.
 * Small ones come in two ways, too: by as many faults in one call, or ready zeroed, as userfaultfd hands them out, which
 * takes half the time and leaves them in the processor's caches; but not every kernel or container offers it.
 * Mechanism: all are timed as they are used and the cheapest one is taken. Huge pages are tried first when a heap has
 * proved large, and again after a stretch as long as what the last try cost deserves: one lost try takes 7 ms where 2 MiB
 * of small pages take 1.5, so tries that lose may cost a hundredth of the whole and no more.
 */
#ifndef STOA_HEAP_PAGES_H
#define STOA_HEAP_PAGES_H

#include "stoa/error.h"

#include <stdatomic.h>

/* All relaxed: hints, whoever writes last is right enough. */
typedef struct stoa_pages {
    _Atomic uint32_t small_cost; /* nanoseconds for 64 KiB, smoothed; 0: not known */
    _Atomic uint32_t huge_cost;
    _Atomic uint32_t no_huge;   /* 1: the kernel has no huge pages for us */
    _Atomic uint32_t no_filler; /* 1: the kernel does not hand out pages ready made */
    _Atomic uint32_t zero_cost[2]; /* of small pages: nanoseconds for 64 KiB by faults, by the kernel; 0: not known */
    _Atomic uint32_t zero_turn;    /* counts choices between the two */
    _Atomic uint32_t fill_cost[2]; /* of filling: nanoseconds for 64 KiB by hand, by the kernel; 0: not known */
    _Atomic uint32_t fills;        /* pieces filled so far */
    _Atomic size_t until_probe;    /* bytes to come in small pages before huge ones are tried (again) */
} stoa_pages;

void stoa__pages_init(stoa_pages *pages);

/* Makes pages present in [writable, writable + least), and at most in `most` bytes; both multiples of the page size.
 * `readable`: the other view of the same. `big`: huge pages are worth it for the caller. Returns how many bytes have been
 * dealt with, at least `least`; 0: no memory (only a file system can run out: STOA_ENOMEM without a message). */
size_t
stoa__pages_prepare(stoa_pages *pages, char *writable, char *readable, size_t least, size_t most, bool big);

/* Is it the kernel that should fill the next pieces (stoa__os_fill_pages)? Both ways are timed, the loser now and then. */
bool stoa__pages_fill_by_kernel(stoa_pages *pages);
void stoa__pages_filled(stoa_pages *pages, bool by_kernel, int64_t nanoseconds, size_t bytes);

/* Are huge pages the cheaper ones now? For private memory. */
bool stoa__pages_prefer_huge(const stoa_pages *pages);

#endif
