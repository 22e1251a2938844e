#include "heap/os.h"

#include "heap/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

/* Newer than the C library's headers on some of the systems that we build on. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* In /proc/self/maps: "/memfd:stoa-process (deleted)", or a file's path that ends in "stoa-process.XXXXXX (deleted)". */
#define NAMED "stoa-process"

size_t
stoa__os_page_size(void)
{
    static _Atomic size_t size; /* relaxed: every thread stores the same number */
    size_t known = atomic_load_explicit(&size, memory_order_relaxed);
    if (known == 0) {
        known = (size_t)sysconf(_SC_PAGESIZE);
        atomic_store_explicit(&size, known, memory_order_relaxed);
    }
    return known;
}

size_t
stoa__os_memory(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? ((size_t)info.totalram + (size_t)info.totalswap) * info.mem_unit : SIZE_MAX;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static size_t
soft_limit(int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return SIZE_MAX;
    }
    return (size_t)limit.rlim_cur;
}

size_t
stoa__os_address_space_left(void)
{
    size_t limit = soft_limit(RLIMIT_AS);
    if (limit == SIZE_MAX) {
        return SIZE_MAX;
    }
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    char text[64] = "";
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof text - 1);
        text[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    size_t used = (size_t)strtoull(text, NULL, 10) * stoa__os_page_size();
    return used < limit ? limit - used : 0;
}

size_t
stoa__os_file_size_limit(void)
{
    return soft_limit(RLIMIT_FSIZE);
}

/* ---- address space ----------------------------------------------------------------------------------------------- */

void *
stoa__os_reserve(size_t size, size_t alignment)
{
    size_t slack = alignment > stoa__os_page_size() ? alignment : 0;
    if (size > SIZE_MAX - slack) {
        return NULL;
    }
    int saved = errno;
    char *got = mmap(NULL, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
        errno = saved;
        return NULL;
    }
    char *start = got;
    if (slack != 0) {
        start = (char *)(((uintptr_t)got + alignment - 1) & ~(uintptr_t)(alignment - 1));
        stoa__os_release(got, (size_t)(start - got));
        stoa__os_release(start + size, slack - (size_t)(start - got));
    }
    return start;
}

void
stoa__os_release(void *address, size_t size)
{
    int saved = errno;
    if (size != 0) {
        munmap(address, size);
    }
    errno = saved;
}

static int
unlinked_file(const char *folder, const char *name)
{
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd >= 0 && strcmp(name, NAMED) != 0) {
        return fd;
    }
    if (fd >= 0) {
        close(fd); /* it would be called "#<inode>" in the maps */
    }
    if ((size_t)snprintf(path, sizeof path, "%s/%s.XXXXXX", folder, name) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static int
nameless_file(int way, const char *name)
{
    switch (way) {
    case 0:
        return memfd_create(name, MFD_CLOEXEC);
    case 1:
        return unlinked_file("/dev/shm", name);
    default: {
        const char *folder = getenv("TMPDIR");
        return unlinked_file(folder != NULL && *folder == '/' ? folder : "/tmp", name);
    }
    }
}

int
stoa__os_shared_file_way(int way)
{
    return nameless_file(way, "stoa-heap");
}

stoa_err
stoa__os_shared_file(size_t size, int *out_fd, bool *out_scarce)
{
    int saved = errno;
    int error = 0;
    for (int way = 0; way < 3; way++) {
        int fd = stoa__os_shared_file_way(way);
        if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
            *out_fd = fd;
            *out_scarce = way != 0;
            errno = saved;
            return STOA_OK;
        }
        error = error != 0 ? error : errno;
        if (fd >= 0) {
            close(fd);
        }
    }
    errno = saved;
    return stoa__fail_os(
        error, "no shared memory of %zu bytes to be had from memfd_create, /dev/shm or $TMPDIR", size);
}

void
stoa__os_close(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
}

int
stoa__os_cpu(void)
{
    return sched_getcpu();
}

stoa_err
stoa__os_map_view(int fd, size_t offset, void *address, size_t size, bool writable)
{
    int saved = errno;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    if (mmap(address, size, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset) ==
        MAP_FAILED) {
        int error = errno;
        errno = saved;
        return stoa__fail_os(error, "mapping %zu bytes of the shared heap failed", size);
    }
    /* A dump would otherwise fill every hole of the file. */
    madvise(address, size, MADV_DONTDUMP);
    errno = saved;
    return STOA_OK;
}

stoa_err
stoa__os_map_private(void *address, size_t size, bool writable)
{
    int saved = errno;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_NONE;
    void *got = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
        int error = errno;
        errno = saved;
        return stoa__fail_os(error, "mapping %zu bytes of private memory failed", size);
    }
    errno = saved;
    return STOA_OK;
}

void
stoa__os_dumpable(void *address, size_t size)
{
    int saved = errno;
    madvise(address, size, MADV_DODUMP);
    errno = saved;
}

/* ---- private memory ---------------------------------------------------------------------------------------------- */

size_t
stoa__os_whole_pages(size_t size)
{
    size_t page = stoa__os_page_size();
    return (size + page - 1) & ~(page - 1);
}

void *
stoa__os_alloc(size_t size, bool huge)
{
    size = stoa__os_whole_pages(size);
    bool large = huge && size >= STOA_HUGE_PAGE;
    void *memory = stoa__os_reserve(size, large ? STOA_HUGE_PAGE : stoa__os_page_size());
    if (memory == NULL) {
        return NULL;
    }
    int saved = errno;
    if (mprotect(memory, size, PROT_READ | PROT_WRITE) != 0) {
        stoa__os_release(memory, size);
        memory = NULL;
    }
    else if (large) {
        madvise(memory, size, MADV_HUGEPAGE);
    }
    errno = saved;
    return memory;
}

void
stoa__os_free(void *memory, size_t size)
{
    if (memory != NULL) {
        stoa__os_release(memory, stoa__os_whole_pages(size));
    }
}

void
stoa__os_clear(void *memory, size_t size)
{
    int saved = errno;
    if (madvise(memory, stoa__os_whole_pages(size), MADV_DONTNEED) != 0) {
        memset(memory, 0, size);
    }
    errno = saved;
}

stoa_err
stoa__os_alloc_named(size_t size, void **out)
{
    int saved = errno;
    size = stoa__os_whole_pages(size);
    int error = 0;
    for (int way = 0; way < 3; way++) {
        int fd = nameless_file(way, NAMED);
        void *memory = MAP_FAILED;
        if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
            memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        }
        error = error != 0 ? error : errno;
        if (fd >= 0) {
            close(fd);
        }
        if (memory != MAP_FAILED) {
            *out = memory;
            errno = saved;
            return STOA_OK;
        }
    }
    errno = saved;
    return stoa__fail_os(error, "no memory for the state of the process");
}

/* One line of the maps: "start-end perms offset dev inode   path". */
static void *
named_in_line(const char *line, bool (*accept)(const void *, size_t))
{
    unsigned long start, end;
    char permissions[8];
    if (strstr(line, NAMED) == NULL || sscanf(line, "%lx-%lx %7s", &start, &end, permissions) != 3 ||
        strncmp(permissions, "rw", 2) != 0 || permissions[3] != 'p') {
        return NULL;
    }
    void *memory = (void *)(uintptr_t)start;
    return accept(memory, (size_t)(end - start)) ? memory : NULL;
}

void *
stoa__os_find_named(bool (*accept)(const void *memory, size_t size))
{
    int saved = errno;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    char buffer[8192];
    size_t have = 0;
    void *found = NULL;
    while (fd >= 0 && found == NULL) {
        ssize_t got = read(fd, buffer + have, sizeof buffer - 1 - have);
        if (got <= 0) {
            if (got < 0 && errno == EINTR) {
                continue;
            }
            break;
        }
        have += (size_t)got;
        buffer[have] = '\0';
        char *line = buffer;
        char *newline;
        while (found == NULL && (newline = strchr(line, '\n')) != NULL) {
            *newline = '\0';
            found = named_in_line(line, accept);
            line = newline + 1;
        }
        have -= (size_t)(line - buffer);
        if (have == sizeof buffer - 1) {
            have = 0; /* a path longer than the buffer is none of ours */
        }
        memmove(buffer, line, have);
    }
    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
    return found;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

bool
stoa__os_populate(void *writable, size_t size)
{
    int saved = errno;
    int result;
    do {
        result = madvise(writable, size, MADV_POPULATE_WRITE);
    } while (result != 0 && errno == EINTR);
    bool enough = result == 0 || errno == EINVAL; /* EINVAL: before Linux 5.14 */
    errno = saved;
    return enough;
}

/* Collapsing works whatever the setting for faults is; an empty range is not collapsed, so each huge page is touched
 * first. Before Linux 6.1 only faults give huge pages, to those who ask, where the setting allows. */
bool
stoa__os_make_huge(void *writable, void *readable, size_t size)
{
    static _Atomic uint32_t way; /* 0 collapse, 1 by faults; relaxed: a late look costs one more refusal */
    int saved = errno;
    bool by_faults = atomic_load_explicit(&way, memory_order_relaxed) != 0;
    bool offered = true;
    if (by_faults) {
        offered = madvise(writable, size, MADV_HUGEPAGE) == 0 && madvise(readable, size, MADV_HUGEPAGE) == 0;
    }
    for (size_t i = 0; i < size; i += STOA_HUGE_PAGE) {
        /* a write that changes nothing: objects may lie here already */
        (void)__atomic_fetch_or((unsigned char *)writable + i, 0, __ATOMIC_RELAXED);
    }
    if (!by_faults && madvise(writable, size, MADV_COLLAPSE) != 0 && errno == EINVAL) {
        atomic_store_explicit(&way, 1, memory_order_relaxed);
        errno = saved;
        return stoa__os_make_huge(writable, readable, size);
    }
    if (by_faults && offered) { /* the setting may be `never`: then the second small page is not there */
        unsigned char present = 0;
        size_t page = stoa__os_page_size();
        offered = mincore((char *)writable + page, page, &present) == 0 && (present & 1) != 0;
    }
    errno = saved;
    return offered;
}

/* userfaultfd: made for handing pages to another process's memory, it is also the one way to fill pages of a shared
 * mapping without zeroing them and without the file's descriptor. The kernel's side only (user mode faults) needs no right. */
int
stoa__os_filler_open(void)
{
    int saved = errno;
    int filler = -1;
#if defined(SYS_userfaultfd) && defined(UFFD_USER_MODE_ONLY) && defined(UFFD_FEATURE_MISSING_SHMEM)
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM};
    filler = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (filler >= 0 && ioctl(filler, UFFDIO_API, &api) != 0) {
        close(filler);
        filler = -1;
    }
#endif
    errno = saved;
    return filler;
}

void
stoa__os_filler_close(int filler)
{
    int saved = errno;
    if (filler >= 0) {
        close(filler);
    }
    errno = saved;
}

#if defined(SYS_userfaultfd) && defined(UFFD_USER_MODE_ONLY) && defined(UFFD_FEATURE_MISSING_SHMEM)
/* One request; *done grows by what it did. False: no more can be had. */
static bool
hand_over(int filler, uintptr_t writable, uintptr_t source, size_t size, size_t *done)
{
    int64_t got;
    if (source != 0) {
        struct uffdio_copy copy = {.dst = writable + *done, .src = source + *done, .len = size - *done};
        (void)ioctl(filler, UFFDIO_COPY, &copy);
        got = copy.copy;
    }
    else {
        struct uffdio_zeropage zero = {.range = {writable + *done, size - *done}};
        (void)ioctl(filler, UFFDIO_ZEROPAGE, &zero);
        got = zero.zeropage;
    }
    *done += got > 0 ? (size_t)got : 0;
    return got > 0 || got == -EAGAIN; /* the mappings changed meanwhile */
}
#endif

size_t
stoa__os_fill_pages(int filler, void *writable, const void *source, size_t size)
{
    size_t done = 0;
#if defined(SYS_userfaultfd) && defined(UFFD_USER_MODE_ONLY) && defined(UFFD_FEATURE_MISSING_SHMEM)
    int saved = errno;
    struct uffdio_register range = {.range = {(uintptr_t)writable, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (filler >= 0 && ioctl(filler, UFFDIO_REGISTER, &range) == 0) {
        for (int tries = 0; done < size && tries < 4; tries++) {
            if (!hand_over(filler, (uintptr_t)writable, (uintptr_t)source, size, &done)) {
                break;
            }
        }
        /* before anybody writes here by hand: a fault in a registered range would wait for ever */
        (void)ioctl(filler, UFFDIO_UNREGISTER, &range.range);
    }
    errno = saved;
#else
    (void)filler;
    (void)writable;
    (void)source;
    (void)size;
#endif
    return done;
}

void
stoa__os_punch(void *writable, size_t size)
{
    int saved = errno;
    if (madvise(writable, size, MADV_REMOVE) != 0) {
        memset(writable, 0, size);
    }
    errno = saved;
}

void
stoa__os_drop(void *view, size_t size)
{
    int saved = errno;
    madvise(view, size, MADV_DONTNEED);
    errno = saved;
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

int
stoa__os_process_lock(void)
{
    int saved = errno;
    /* its inode is this process's own, and the same for every copy of every C library in it */
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        while (flock(fd, LOCK_EX) != 0) {
            if (errno != EINTR) {
                close(fd);
                fd = -1;
                break;
            }
        }
    }
    errno = saved;
    return fd;
}

void
stoa__os_process_unlock(int token)
{
    int saved = errno;
    if (token >= 0) {
        flock(token,
              LOCK_UN); /* a child forked meanwhile has the descriptor too: closing alone would not let go */
        close(token);
    }
    errno = saved;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

int
stoa__os_thread_start(void *(*main)(void *arg), void *arg)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, main, arg);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int64_t
stoa__os_thread_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

void
stoa__os_pin_library(const void *symbol)
{
    Dl_info info;
    if (dladdr(symbol, &info) != 0 && info.dli_fname != NULL) {
        void *library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
        if (library != NULL) {
            dlclose(library);
        }
    }
}

uint64_t
stoa__os_random(void)
{
    int saved = errno;
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        bits = ((uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uintptr_t)&bits) *
               UINT64_C(0x9E3779B97F4A7C15);
    }
    errno = saved;
    return bits;
}
