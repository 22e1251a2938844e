/* The same stages as processes, one each, with pipes between them: what the pipeline would be without shared memory.
 * Blocks that later stages need are written into the pipe and read from it again, by every stage on the way. */
#define _GNU_SOURCE
#include "kernels.h"
#include "planner.h"
#include "run.h"
#include "stl.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_SIZE (1 << 20)
#define CHUNK ((size_t)16384) /* triangles that are read at once */

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* What stands before the blocks of a job. band -1: there are no more. */
typedef struct message {
    int32_t band;
    int32_t kept; /* bits: blocks that follow */
    plan plan;
    uint64_t triangles; /* before the blocks: nine floats each; then a layer_range each */
    uint64_t counts[SLOTS];
    double busy[STAGES];
} message;

static void
transfer(ssize_t (*move)(int, void *, size_t), int fd, void *data, size_t size)
{
    for (char *at = data; size != 0;) {
        ssize_t n = move(fd, at, size);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            _exit(1); /* a stage has ended early, and has said why */
        }
        at += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
}

static ssize_t
put(int fd, void *data, size_t size)
{
    return write(fd, data, size);
}

static size_t
block_bytes(enum slot slot, size_t count)
{
    return count * slot_kinds[slot].width * slot_kinds[slot].size;
}

static void *
own_memory(size_t size)
{
    void *memory = malloc(size + 1);
    if (memory == NULL) {
        no_memory("a block");
    }
    return memory;
}

static void *
make_in_memory(job *job, enum slot slot, size_t count)
{
    job->writing[slot] = own_memory(block_bytes(slot, count));
    job->blocks[slot] = (block){job->writing[slot], count};
    return job->writing[slot];
}

static void
leave_in_memory(job *job, enum slot slot)
{
    (void)job;
    (void)slot;
}

/* Blocks that are needed after a stage. */
static const int32_t needed_after[STAGES] = {
    [SLICE] = 1 << SEGMENTS | 1 << SEGMENT_ENDS,
    [CHAIN] = 1 << POINTS | 1 << CONTOUR_ENDS | 1 << CONTOUR_LAYERS,
    [INSET_STAGE] = 1 << INSET | 1 << CONTOUR_ENDS | 1 << CONTOUR_LAYERS | 1 << MEASURES,
    [STATISTICS_STAGE] = 1 << INSET | 1 << CONTOUR_ENDS | 1 << CONTOUR_LAYERS | 1 << MEASURES | 1 << STATISTICS,
    [PLAN_STAGE] = 1 << INSET | 1 << CONTOUR_ENDS | 1 << CONTOUR_LAYERS | 1 << STATISTICS | 1 << ORDER,
    [DRAW] = 1 << CONTOUR_ENDS | 1 << MEASURES | 1 << STATISTICS | 1 << PICTURE,
};

static void
send_job(int fd, message *m, job *job)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        m->counts[slot] = job->blocks[slot].count;
    }
    transfer(put, fd, m, sizeof(*m));
    for (int slot = 0; slot < SLOTS; slot++) {
        if (m->kept >> slot & 1) {
            transfer(put, fd, (void *)(uintptr_t)job->blocks[slot].data, block_bytes(slot, m->counts[slot]));
        }
        free(job->writing[slot]);
    }
}

/* false: there are no more. `triangles` is owned. */
static bool
receive_job(int fd, message *m, job *out, float **triangles)
{
    transfer(read, fd, m, sizeof(*m));
    *out = (job){.make = make_in_memory, .done = leave_in_memory};
    *triangles = NULL;
    if (m->band < 0) {
        return false;
    }
    job_begin(out, &m->plan, m->band);
    if (m->triangles != 0) {
        *triangles = own_memory(m->triangles * 40);
        transfer(read, fd, *triangles, m->triangles * 40);
    }
    for (int slot = 0; slot < SLOTS; slot++) {
        if (m->kept >> slot & 1) {
            void *data = make_in_memory(out, slot, m->counts[slot]);
            transfer(read, fd, data, block_bytes(slot, m->counts[slot]));
        }
    }
    return true;
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

static void
run_python(stoa_interp *interp, const char *function, job *job, enum slot slot)
{
    static const enum slot needed[2] = {MEASURES, CONTOUR_LAYERS};
    stoa_data arguments[2], result;
    stoa_exception *exception = NULL;
    for (int i = 0; i < 2; i++) {
        const block *b = &job->blocks[needed[i]];
        arguments[i] = stoa_data_bytes(b->data, block_bytes(needed[i], b->count));
    }
    check_call(stoa_call(interp, function, arguments, 2, 0, &result, &exception), function, &exception);
    void *data = make_in_memory(job, slot,
                                result.as.text.size / (slot_kinds[slot].width * slot_kinds[slot].size));
    memcpy(data, result.as.text.at, result.as.text.size);
    stoa_data_clear(&result);
}

static void
be_stage(enum stage stage, int in, int out, int ready)
{
    bool python = stage == STATISTICS_STAGE || stage == PLAN_STAGE;
    stoa_interp *interp = NULL;
    if (python) {
        stoa_runtime_options options;
        stoa_exception *exception = NULL;
        stoa_runtime_options_init(&options);
        check(stoa_runtime_open(&options), "runtime");
        check(stoa_interp_main(&interp), "interpreter");
        check_call(stoa_exec(interp, PLANNER, "planner", &exception), "planner", &exception);
    }
    transfer(put, ready, &(char){1}, 1);
    message m;
    job job;
    float *triangles;
    while (receive_job(in, &m, &job, &triangles)) {
        double begin = now();
        if (python) {
            run_python(interp, stage == PLAN_STAGE ? "__main__:plan_bytes" : "__main__:statistics_bytes",
                       &job, stage == PLAN_STAGE ? ORDER : STATISTICS);
        }
        else {
            const layer_range *ranges = triangles == NULL ? NULL : (void *)(triangles + 9 * m.triangles);
            run_kernel(stage, &job, &m.plan, triangles, ranges, NULL, m.triangles);
        }
        free(triangles);
        m.triangles = 0;
        m.kept = needed_after[stage];
        m.busy[stage] = now() - begin;
        send_job(out, &m, &job);
    }
    transfer(put, out, &m, sizeof(m));
    if (python) {
        stoa_interp_free(interp);
        check(stoa_runtime_close(), "close");
    }
    _exit(0);
}

/* The first process: reads the file, and sends the triangles of one band after the other. */
static void
be_source(const order *order, int out, int go)
{
    char why[200];
    stl_file file;
    message m = {.band = 0};
    double begin = now();
    transfer(read, go, &(char){0}, 1);
    if (!stl_open(order->path, &file, why, sizeof(why))) {
        bad_file(order->path, why);
    }
    float *all = own_memory(file.triangles * 36);
    box box = no_box;
    for (size_t from = 0, to; from < file.triangles; from = to) { /* while it is in the cache */
        to = file.ascii || file.triangles - from < CHUNK ? file.triangles : from + CHUNK;
        if (!stl_read(&file, from, to, all + 9 * from, why, sizeof(why))) {
            bad_file(order->path, why);
        }
        find_box(all, from, to, &box);
    }
    make_plan(&m.plan, order, &box);
    m.busy[READ] = now() - begin;
    begin = now();
    size_t bands = (size_t)m.plan.bands, *ends = calloc(bands + 1, sizeof(*ends));
    layer_range *ranges = malloc(file.triangles * sizeof(*ranges));
    if (ends == NULL || ranges == NULL) {
        no_memory("bands");
    }
    uint16_t *band_of = bands_of_layers(&m.plan);
    find_layers(&m.plan, band_of, all, 0, file.triangles, ranges, ends + 1);
    for (size_t band = 0; band < bands; band++) {
        ends[band + 1] += ends[band];
    }
    size_t total = ends[bands], largest = 0;
    uint32_t *ids = own_memory(total * sizeof(*ids));
    for (size_t i = file.triangles; i-- > 0;) {
        for (int32_t band = ranges[i].first < ranges[i].end ? band_of[ranges[i].first] : INT32_MAX;
             band < INT32_MAX && band <= band_of[ranges[i].end - 1]; band++) {
            ids[--ends[band + 1]] = (uint32_t)i;
        }
    }
    for (size_t band = 0; band < bands; band++) { /* ends[band + 1] has come down to where the band begins */
        size_t size = (band + 1 < bands ? ends[band + 2] : total) - ends[band + 1];
        largest = largest < size ? size : largest;
    }
    free(band_of);
    float *gathered = own_memory(largest * 40); /* the triangles, then their layers */
    m.busy[SORT] = now() - begin;
    for (m.band = 0; m.band < m.plan.bands; m.band++) {
        begin = now();
        size_t from = ends[m.band + 1], to = m.band + 1 < m.plan.bands ? ends[m.band + 2] : total;
        for (size_t i = from; i < to; i++) {
            memcpy(gathered + 9 * (i - from), all + 9 * (size_t)ids[i], 36);
            memcpy(gathered + 9 * (to - from) + (i - from), &ranges[ids[i]], 4);
        }
        m.triangles = to - from;
        m.busy[SORT] += now() - begin;
        transfer(put, out, &m, sizeof(m));
        transfer(put, out, gathered, m.triangles * 40);
        m.busy[READ] = m.busy[SORT] = 0;
    }
    m.band = -1;
    m.triangles = file.triangles;
    transfer(put, out, &m, sizeof(m));
    _exit(0);
}

static void
make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        no_memory("a pipe");
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
}

/* Reads what the last stage sends, until the end. */
static void
collect(int in, outcome *out)
{
    message m;
    job job;
    float *triangles;
    while (receive_job(in, &m, &job, &triangles)) {
        add_job(out, &job);
        for (int i = 0; i < STAGES; i++) {
            out->busy[i] += m.busy[i];
        }
        for (int slot = 0; slot < SLOTS; slot++) {
            free(job.writing[slot]);
        }
    }
    out->triangles = m.triangles;
}

void
run_pipes(const order *order, outcome *out)
{
    int go[2], ready[2], in = -1;
    pid_t children[STAGES];
    *out = (outcome){.triangles = 0};
    make_pipe(go);
    make_pipe(ready);
    fflush(stdout);
    for (int stage = SORT; stage < STAGES; stage++) { /* reading and sorting are one process */
        int ends[2];
        make_pipe(ends);
        children[stage] = fork();
        if (children[stage] < 0) {
            no_memory("a process");
        }
        if (children[stage] == 0) {
            close(ends[0]);
            close(go[1]);
            if (stage == SORT) {
                be_source(order, ends[1], go[0]);
            }
            be_stage((enum stage)stage, in, ends[1], ready[1]);
        }
        close(ends[1]);
        if (in >= 0) {
            close(in);
        }
        in = ends[0];
    }
    close(ready[1]);
    for (int stage = SLICE; stage < STAGES; stage++) {
        transfer(read, ready[0], &(char){0}, 1);
    }
    double begin = now();
    transfer(put, go[1], &(char){1}, 1);
    collect(in, out);
    out->seconds = now() - begin;
    struct rusage usage;
    for (int stage = SORT; stage < STAGES; stage++) {
        int status = 0;
        if (wait4(children[stage], &status, 0, &usage) < 0 || status != 0) {
            fprintf(stderr, "geometry: stage %s failed\n", stage_names[stage]);
            exit(1);
        }
        out->peak += (double)usage.ru_maxrss * 1024;
    }
    close(in);
    close(go[0]);
    close(go[1]);
    close(ready[0]);
}
