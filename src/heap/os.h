/* What the heap asks of the operating system; one file for each system (os_linux.c), no #ifdef elsewhere.
 *
 * Preconditions of all: addresses and sizes are multiples of the page size unless said otherwise; no lock is needed; errno
 * is kept. Functions that return stoa_err leave a message. None allocates from malloc, none takes a lock of ours.
 */
#ifndef STOA_HEAP_OS_H
#define STOA_HEAP_OS_H

#include "stoa/error.h"

#define STOA_HUGE_PAGE ((size_t)2 << 20)

size_t stoa__os_page_size(void);
size_t stoa__os_whole_pages(size_t size); /* rounded up */

/* Memory and swap of the machine: what is larger can never be. */
size_t stoa__os_memory(void);

/* The address space that is left to this process: SIZE_MAX without a limit. */
size_t stoa__os_address_space_left(void);
/* The largest file this process may make: SIZE_MAX without a limit. */
size_t stoa__os_file_size_limit(void);

/* Address space without memory behind it, aligned to `alignment` (power of two). NULL: does not fit (no message). */
void *stoa__os_reserve(size_t size, size_t alignment);
void stoa__os_release(void *address, size_t size);

/* A file without a name, `size` bytes, all holes. `*out_scarce`: its file system may run full before memory does, so pages
 * must be asked for (stoa__os_populate) before they are written to. The caller closes the descriptor. */
stoa_err stoa__os_shared_file(size_t size, int *out_fd, bool *out_scarce);
/* The ways behind stoa__os_shared_file, best first, for tests: 0 memfd, 1 a file in /dev/shm, 2 a temporary file.
 * -1: not to be had (errno says why). */
int stoa__os_shared_file_way(int way);

void stoa__os_close(int fd);

/* The processor that this thread runs on, now; -1 where that cannot be told. */
int stoa__os_cpu(void);

/* Lays a view of the file over reserved addresses. The views are left out of core dumps until stoa__os_dumpable. */
stoa_err stoa__os_map_view(int fd, size_t offset, void *address, size_t size, bool writable);
/* Lays private memory (zero; writable or not accessible at all) over addresses that had a view. */
stoa_err stoa__os_map_private(void *address, size_t size, bool writable);
void stoa__os_dumpable(void *address, size_t size);

/* Zeroed private memory, backed when first touched; `huge`: by huge pages where it is large enough. NULL: none. */
void *stoa__os_alloc(size_t size, bool huge);
void stoa__os_free(void *memory, size_t size);
/* Makes memory of stoa__os_alloc zero again and gives its pages back. */
void stoa__os_clear(void *memory, size_t size);
/* The same as stoa__os_alloc, but found again by stoa__os_find_named in this process. Released by stoa__os_release. */
stoa_err stoa__os_alloc_named(size_t size, void **out);
/* Calls `accept` for each such memory until it says true. Returns that memory, or NULL. */
void *stoa__os_find_named(bool (*accept)(const void *memory, size_t size));

/* Makes the pages of a writable view present; its bytes stay what they are. One system call for many faults. False: not
 * enough memory. True does not promise that they are (older kernels cannot do it). */
bool stoa__os_populate(void *writable, size_t size);
/* Backs a 2 MiB-aligned range of both views with huge pages; its bytes stay what they are. False: this kernel has none
 * for such memory. True does not promise that all are huge (there may be too few). */
bool stoa__os_make_huge(void *writable, void *readable, size_t size);
/* Copies into whole pages of a writable view of the file that were never touched: the kernel fills a page as it takes it, so it
 * is not zeroed first, and nothing faults. `source` NULL: zeros. `filler`: from stoa__os_filler_open, -1 does nothing.
 * Returns how many bytes were copied, from the start; the rest is for the caller. Nobody else touches these pages meanwhile. */
size_t stoa__os_fill_pages(int filler, void *writable, const void *source, size_t size);
/* -1: this kernel, or who set up the process, does not offer it. One a thread at a time. */
int stoa__os_filler_open(void);
void stoa__os_filler_close(int filler);
/* Gives the pages of the file back; both views read zeros afterwards. */
void stoa__os_punch(void *writable, size_t size);
/* Forgets the page table entries of a view; the file keeps its content. */
void stoa__os_drop(void *view, size_t size);

/* Takes the lock that the copies of the library in this process share; a token for unlock, -1 when there is none. */
int stoa__os_process_lock(void);
void stoa__os_process_unlock(int token);

/* Starts a thread that nobody joins, with all signals blocked: they are for the threads of the program. 0, or an errno value.
 * errno stays. */
int stoa__os_thread_start(void *(*main)(void *arg), void *arg);
/* Processor time of the calling thread, in nanoseconds: what something costs, however busy the machine is. */
int64_t stoa__os_thread_time(void);

/* Keeps the library that contains `symbol` loaded until the process ends. */
void stoa__os_pin_library(const void *symbol);
/* Unpredictable bits. */
uint64_t stoa__os_random(void);

#endif
