#include "heap/os_memory.h"

#include "heap/error.h"
#include "heap/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGES_AT_ONCE 512
#define MOST_THREADS 4096
#define RED_ZONE 256 /* bytes below a stack pointer that may be in use */

/* ---- mappings ---------------------------------------------------------------------------------------------------- */

stoa_err
stoa__os_each_mapping(void (*visit)(const stoa_mapping *here, void *arg), void *arg)
{
    /* a buffer of our own: stdio's would come from the malloc that we look at */
    char text[4096], line[256];
    size_t length = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return stoa__fail_os(errno, "/proc/self/maps cannot be read, so nobody can tell who holds what");
    }
    ssize_t got;
    while ((got = read(fd, text, sizeof text)) > 0 || (got < 0 && errno == EINTR)) {
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] != '\n') {
                if (length < sizeof line - 1) { /* paths may be cut */
                    line[length++] = text[i];
                }
                continue;
            }
            line[length] = '\0';
            length = 0;
            char *end, *mode;
            stoa_mapping here = {.start = (uintptr_t)strtoull(line, &end, 16)};
            here.end = (uintptr_t)strtoull(end + 1, &mode, 16);
            here.readable = mode[1] == 'r';
            here.writable = mode[2] == 'w';
            here.is_stack = strstr(mode, "[stack]") != NULL;
            here.is_heap = strstr(mode, "[heap]") != NULL;
            visit(&here, arg);
        }
    }
    close(fd);
    return STOA_OK;
}

typedef struct touched {
    stoa_pieces *out;
    uintptr_t but_from, but_to;
    int pagemap; /* -1: the system does not tell which pages were touched */
} touched;

/* Linux 6.7 tells ranges, which matters for mappings of terabytes (sanitizers have some). As in its <linux/fs.h>. */
typedef struct scan_request {
    uint64_t size, flags, start, end, walk_end, ranges, range_count, max_pages;
    uint64_t inverted, all_of, any_of, wanted;
} scan_request;
typedef struct scan_range {
    uint64_t start, end, categories;
} scan_range;
#define SCAN _IOWR('f', 16, scan_request)
#define SCAN_PRESENT (1u << 3)
#define SCAN_SWAPPED (1u << 4)

/* Returns where it has come to: `end`, when the system could do it. */
static uintptr_t
add_by_ranges(const touched *t, uintptr_t start, uintptr_t end)
{
    scan_range ranges[64];
    while (start < end) {
        scan_request request = {.size = sizeof request,
                                .start = start,
                                .end = end,
                                .ranges = (uintptr_t)ranges,
                                .range_count = sizeof ranges / sizeof *ranges,
                                .any_of = SCAN_PRESENT | SCAN_SWAPPED,
                                .wanted = SCAN_PRESENT | SCAN_SWAPPED};
        int count = ioctl(t->pagemap, SCAN, &request);
        if (count < 0 || request.walk_end <= start) {
            break;
        }
        for (int i = 0; i < count; i++) {
            stoa__pieces_add(t->out, ranges[i].start, ranges[i].end);
        }
        start = request.walk_end;
    }
    return start;
}

/* By the page: bit 63 present, bit 62 swapped out. */
static uintptr_t
add_by_pages(const touched *t, uintptr_t start, uintptr_t end)
{
    uint64_t pages[PAGES_AT_ONCE];
    size_t page = stoa__os_page_size();
    while (start < end) {
        size_t left = (end - start) / page;
        size_t count = left < PAGES_AT_ONCE ? left : PAGES_AT_ONCE;
        if (pread(t->pagemap, pages, count * 8, (off_t)(start / page * 8)) != (ssize_t)(count * 8)) {
            break;
        }
        for (size_t i = 0; i < count;) {
            size_t first = i;
            while (i < count && pages[i] >> 62 != 0) {
                i++;
            }
            stoa__pieces_add(t->out, start + first * page, start + i * page);
            i += i == first;
        }
        start += count * page;
    }
    return start;
}

static void
add_touched(const stoa_mapping *here, void *arg)
{
    const touched *t = arg;
    if (!here->readable || !here->writable || (here->start >= t->but_from && here->end <= t->but_to)) {
        return;
    }
    uintptr_t start = here->start;
    if (t->pagemap >= 0) {
        start = add_by_ranges(t, start, here->end);
        start = add_by_pages(t, start, here->end);
    }
    stoa__pieces_add(t->out, start, here->end);
}

stoa_err
stoa__os_writable_memory(stoa_pieces *out, uintptr_t but_from, uintptr_t but_to)
{
    touched t = {out, but_from, but_to, open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
    stoa_err err = stoa__os_each_mapping(add_touched, &t);
    if (t.pagemap >= 0) {
        close(t.pagemap);
    }
    return err;
}

size_t
stoa__os_copy(void *to, const void *from, size_t size)
{
    size_t done = 0;
    while (done < size) {
        struct iovec local = {(char *)to + done, size - done};
        struct iovec remote = {(char *)(uintptr_t)from + done, size - done};
        ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        if (got < 0 && (errno == ENOSYS || errno == EPERM)) { /* some containers: then it must not go meanwhile */
            memcpy((char *)to + done, (const char *)from + done, size - done);
            return size;
        }
        if (got <= 0) {
            break;
        }
        done += (size_t)got;
    }
    return done;
}

size_t
stoa__os_resident(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof text - 1);
        text[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    char *second = strchr(text, ' ');
    return second == NULL ? 0 : (size_t)strtoull(second, NULL, 10) * stoa__os_page_size();
}

/* ---- stacks ------------------------------------------------------------------------------------------------------ */

typedef struct stacks {
    stoa_pieces *out;
    uintptr_t *pointers; /* of all threads; 0: not known */
    size_t count;
    size_t tid_offset;   /* of a thread's number in the C library's description of it; 0: not known */
    stoa_mapping before; /* the mapping just below */
} stacks;

/* The kernel tells the stack pointer of a thread that sleeps in it; 0: it is running. */
static uintptr_t
stack_pointer_of(const char *thread)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/syscall", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    /* "number arguments... stack-pointer program-counter" */
    char *last = strrchr(text, ' ');
    if (last == NULL) {
        return 0;
    }
    *last = '\0';
    char *pointer = strrchr(text, ' ');
    return pointer == NULL ? 0 : (uintptr_t)strtoull(pointer, NULL, 16);
}

static void
find_pointers(stacks *s, uintptr_t own)
{
    DIR *tasks = opendir("/proc/self/task");
    char self[24];
    snprintf(self, sizeof self, "%ld", (long)syscall(SYS_gettid));
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        uintptr_t pointer = strcmp(entry->d_name, self) == 0 ? own : stack_pointer_of(entry->d_name);
        if (pointer != 0 && s->count < MOST_THREADS) {
            s->pointers[s->count++] = pointer;
        }
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
}

/* glibc describes a thread at the upper end of its stack. That begins with its own address, twice; the number of the thread in
 * it is 0, and -1 after the join, once the thread has ended. Where the number lies is checked with the calling thread. */
#if defined(__x86_64__) && defined(__GLIBC__)
#define TID_OFFSET ((size_t)0x2d0)

static size_t
find_tid_offset(void)
{
    int tid = 0;
    const char *self = (const char *)pthread_self();
    bool known = stoa__os_copy(&tid, self + TID_OFFSET, sizeof tid) == sizeof tid;
    return known && tid == (int)syscall(SYS_gettid) ? TID_OFFSET : 0;
}

/* The stack of a thread that has ended, kept for the next one? */
static bool
is_left_over(const stacks *s, const stoa_mapping *here)
{
    uintptr_t words[1024];
    size_t size = here->end - here->start < sizeof words ? here->end - here->start : sizeof words;
    size_t got = s->tid_offset == 0 ? 0 : stoa__os_copy(words, (const void *)(here->end - size), size);
    for (size_t i = 0; i + s->tid_offset / 8 < got / 8; i++) {
        uintptr_t place = here->end - size + i * 8;
        if (words[i] == place && words[i + 2] == place) {
            return (int32_t)(uint32_t)words[i + s->tid_offset / 8] <= 0;
        }
    }
    return false;
}
#else
static size_t
find_tid_offset(void)
{
    return 0;
}

static bool
is_left_over(const stacks *s, const stoa_mapping *here)
{
    (void)s;
    (void)here;
    return false;
}
#endif

static void
add_unused(const stoa_mapping *here, void *arg)
{
    stacks *s = arg;
    stoa_mapping before = s->before;
    s->before = *here;
    if (!here->writable) {
        return;
    }
    uintptr_t lowest = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->pointers[i] > here->start && s->pointers[i] <= here->end &&
            (lowest == 0 || s->pointers[i] < lowest)) {
            lowest = s->pointers[i];
        }
    }
    /* a stack has a guard below it; other memory that somebody runs on may hold anything */
    bool guarded = before.end == here->start && !before.readable && !before.writable;
    if (lowest != 0 && (here->is_stack || guarded)) {
        stoa__pieces_add(s->out, here->start,
                         lowest - RED_ZONE > here->start ? lowest - RED_ZONE : here->start);
    }
    else if (lowest == 0 && guarded && is_left_over(s, here)) {
        stoa__pieces_add(s->out, here->start, here->end); /* kept by the C library for the next thread */
    }
}

void
stoa__os_unused_stacks(stoa_pieces *out, const void *own)
{
    stacks s = {.out = out,
                .pointers = stoa__os_alloc(MOST_THREADS * sizeof(uintptr_t), false),
                .tid_offset = find_tid_offset()};
    if (s.pointers == NULL) {
        return;
    }
    find_pointers(&s, (uintptr_t)own);
    (void)stoa__os_each_mapping(add_unused, &s);
    stoa__os_free(s.pointers, MOST_THREADS * sizeof(uintptr_t));
}
