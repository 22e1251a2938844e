/* For the tests of the guard: objects in the shared heap, and what happens in a child that writes to them. */
#ifndef STOA_TESTS_HEAP_GUARD_CHILD_H
#define STOA_TESTS_HEAP_GUARD_CHILD_H

#include "heap/guard.h"

#include "heap/process_struct.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/process.h"

#define OBJECT 64u /* the test's objects lie side by side; the first 8 bytes of each are its count */

static inline bool
is_refcount(const void *address)
{
    return ((uintptr_t)address - stoa__public_base) % OBJECT == 0;
}

static inline size_t
describe(const void *address, char *buffer, size_t size)
{
    return (size_t)snprintf(buffer, size, "test object, offset %u",
                            (unsigned)(((uintptr_t)address - stoa__public_base) % OBJECT));
}

static inline void
write_python_stack(int fd)
{
    static const char text[] = "interpreter 'test'\n";
    if (write(fd, text, sizeof text - 1) < 0) {
        _exit(99);
    }
}

static const stoa_guard_describer describer = {is_refcount, describe, write_python_stack};

/* ThreadSanitizer blocks all signals while a handler runs, so one that comes within another ends the process at once. */
#if defined(__SANITIZE_THREAD__)
#define SKIP_NESTED_SIGNALS() skip()
#else
#define SKIP_NESTED_SIGNALS() ((void)0)
#endif

/* Addresses above fork_floor, with ones in the count and in the content of each object. */
static inline char *
new_objects(void)
{
    char *p = stoa__space_take(&stoa__process->space, STOA_GRANULE, STOA_GRANULE);
    if (p == NULL) {
        fprintf(stderr, "%s\n", stoa_error_message());
        abort();
    }
    for (size_t i = 0; i < STOA_GRANULE; i += 8) {
        *(uint64_t *)stoa__rw(p + i) = 1;
    }
    return p;
}

static inline void
incref(char *object)
{
    (*(volatile uint64_t *)object)++;
}

static inline uint64_t
peek(const char *object)
{
    return *(const volatile uint64_t *)object;
}

typedef struct ending {
    int status;
    char text[16384];
} ending;

/* Runs `act` in a child without a core dump; how it ended and what it wrote to standard error. */
static inline void
in_child(void (*act)(void), ending *out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], 2);
        close(ends[0]);
        signal(SIGSEGV, SIG_DFL); /* whatever the test program or a sanitizer had */
        signal(SIGBUS, SIG_DFL);
        unsetenv("STOA_GUARD");
        alarm(100);
        act();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while ((n = read(ends[0], out->text + length, sizeof out->text - 1 - length)) > 0) {
        length += (size_t)n;
    }
    out->text[length] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &out->status, 0), child);
}

static inline void
assert_exited(void (*act)(void), int code)
{
    ending e;
    in_child(act, &e);
    if (!WIFEXITED(e.status) || WEXITSTATUS(e.status) != code) {
        fail_msg("status %x, said: %s", e.status, e.text);
    }
}

/* Ended by `number`, having said all of the words (NULL at the end), and not `never`. */
static inline void
assert_died(void (*act)(void), int number, const char *never, ...)
{
    ending e;
    in_child(act, &e);
    if (!WIFSIGNALED(e.status) || WTERMSIG(e.status) != number) {
        fail_msg("status %x, said: %s", e.status, e.text);
    }
    if (never != NULL && strstr(e.text, never) != NULL) {
        fail_msg("said '%s' in: %s", never, e.text);
    }
    va_list words;
    va_start(words, never);
    const char *word;
    while ((word = va_arg(words, const char *)) != NULL) {
        if (strstr(e.text, word) == NULL) {
            fail_msg("no '%s' in: %s", word, e.text);
        }
    }
    va_end(words);
}

static inline void
install(void)
{
    if (stoa__guard_install(&describer) != STOA_OK) {
        fprintf(stderr, "%s\n", stoa_error_message());
        _exit(50);
    }
}

static inline void
expect(bool what, int line)
{
    if (!what) {
        fprintf(stderr, "line %d\n", line);
        _exit(51);
    }
}

#define EXPECT(what) expect((what), __LINE__)

#endif
