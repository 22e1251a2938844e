/* F12: text to shared tuples and mappings through the builder, by threads that Python has never seen.
 * A library and not a program: bench/rows_builder.py loads it, so that it is measured in whatever Python is there.
 * Each thread parses log-like lines of its own (they differ by seed) and builds a tuple of mappings from them. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stoa/build.h"

#define THREADS_MAX 64

typedef struct job {
    size_t lines;
    uint64_t seed;
    unsigned flags;
    pthread_barrier_t *start;
    double began, ended;
    stoa_err err;
    char message[256];
} job;

static char last_error[256];

static double
seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* "2024-05-11T10:22:31 user4711 GET /items/83713 200 0.183 eu,web,new" */
static int
make_line(char *line, size_t size, uint64_t *random)
{
    static const char *const verbs[] = {"GET", "PUT", "POST", "DELETE"};
    static const char *const tags[] = {"eu", "us", "asia", "web", "app", "new", "vip"};
    uint64_t r = next_random(random), q = next_random(random);
    return snprintf(line, size, "2024-%02u-%02uT%02u:%02u:%02u user%u %s /items/%u %u %u %s,%s,%s",
                    (unsigned)(r % 12 + 1), (unsigned)(r / 12 % 28 + 1), (unsigned)(r >> 20 & 15),
                    (unsigned)(r >> 24) % 60, (unsigned)(r >> 30) % 60, (unsigned)(q % 50000),
                    verbs[q >> 20 & 3], (unsigned)(q >> 24) % 100000, 200 + (unsigned)(q >> 42) % 5,
                    (unsigned)(r >> 40) % 100000, tags[(r >> 50) % 7], tags[(r >> 53) % 7],
                    tags[(r >> 56) % 7]);
}

static bool
push(stoa_builder *builder, const char *text, size_t size)
{
    return stoa_push_text(builder, text, size) == STOA_OK;
}

/* One line becomes {"at", "user", "verb", "path", "status", "took", "tags": (…)}. */
static bool
build_line(stoa_builder *builder, const char *line)
{
    static const char *const fields[] = {"at", "user", "verb", "path", "status", "took", "tags"};
    bool ok = stoa_begin_mapping(builder) == STOA_OK;
    for (int field = 0; ok && field < 7; field++) {
        size_t size = strcspn(line, " ");
        ok = push(builder, fields[field], strlen(fields[field]));
        if (field == 4 || field == 5) {
            int64_t number = 0;
            for (size_t i = 0; i < size; i++) {
                number = number * 10 + (line[i] - '0');
            }
            ok = ok && stoa_push_int64(builder, number) == STOA_OK;
        }
        else if (field == 6) {
            ok = ok && stoa_begin_tuple(builder) == STOA_OK;
            for (size_t at = 0; ok && at <= size;) {
                size_t length = strcspn(line + at, ", ");
                ok = push(builder, line + at, length);
                at += length + 1;
            }
            ok = ok && stoa_end(builder) == STOA_OK;
        }
        else {
            ok = ok && push(builder, line, size);
        }
        line += line[size] == ' ' ? size + 1 : size;
    }
    return ok && stoa_end(builder) == STOA_OK;
}

static bool
build_all(stoa_builder *builder, const job *work)
{
    uint64_t random = work->seed * 0x9E3779B97F4A7C15u + 1;
    const stoa_object *object;
    bool ok = stoa_begin_tuple(builder) == STOA_OK;
    for (size_t i = 0; ok && i < work->lines; i++) {
        char line[160];
        make_line(line, sizeof line, &random);
        ok = build_line(builder, line);
    }
    return ok && stoa_end(builder) == STOA_OK && stoa_builder_finish(builder, &object) == STOA_OK;
}

static void *
run_job(void *argument)
{
    job *work = argument;
    stoa_builder *builder = NULL;
    work->err = stoa_builder_new(NULL, work->flags, &builder);
    pthread_barrier_wait(work->start);
    work->began = seconds_now();
    if (work->err == STOA_OK && !build_all(builder, work)) {
        work->err = STOA_EINVAL;
    }
    work->ended = seconds_now();
    if (work->err != STOA_OK) {
        snprintf(work->message, sizeof work->message, "%s", stoa_error_message());
    }
    stoa_builder_free(builder);
    return NULL;
}

/* `threads` threads build `lines` lines each; *out_seconds: from the first one's start to the last one's end.
 * 0, or -1 with bench_error(). Any thread; the caller may give up its GIL meanwhile. */
STOA_API int
bench_build_text(int threads, size_t lines, uint64_t seed, unsigned flags, double *out_seconds)
{
    if (threads < 1 || threads > THREADS_MAX) {
        snprintf(last_error, sizeof last_error, "1 to %d threads", THREADS_MAX);
        return -1;
    }
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    job jobs[THREADS_MAX] = {0};
    pthread_t ids[THREADS_MAX];
    for (int i = 0; i < threads; i++) {
        jobs[i] = (job){.lines = lines, .seed = seed + (uint64_t)i, .flags = flags, .start = &start};
        if (pthread_create(&ids[i], NULL, run_job, &jobs[i]) != 0) {
            snprintf(last_error, sizeof last_error, "no thread");
            return -1;
        }
    }
    int result = 0;
    double began = 0, ended = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        began = i == 0 || jobs[i].began < began ? jobs[i].began : began;
        ended = jobs[i].ended > ended ? jobs[i].ended : ended;
        if (jobs[i].err != STOA_OK) {
            memcpy(last_error, jobs[i].message, sizeof last_error);
            result = -1;
        }
    }
    pthread_barrier_destroy(&start);
    *out_seconds = ended - began;
    return result;
}

STOA_API const char *
bench_error(void)
{
    return last_error;
}
