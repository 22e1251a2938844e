/* The pipeline in one process: the surface lies in the shared heap, and what Python plans from; threads of the host do
 * the stages that are C with no GIL, and go into an interpreter of their own for those that are Python. Between stages
 * goes a pointer. What only C stages see of a band is memory that the next band uses again. */
#define _GNU_SOURCE
#include "kernels.h"
#include "planner.h"
#include "run.h"
#include "stl.h"
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#define CHUNK ((size_t)16384) /* triangles that are read or sorted at once: whole pages */
#define MOST_WORKERS 64

typedef struct span {
    enum stage stage;
    double begin, end;
} span;

typedef struct pipeline {
    const order *order;
    stl_file file;
    plan plan;
    stoa_region *region;
    const stoa_object *surface;
    stoa_array_maker *maker; /* of the surface */
    const float *triangles;  /* nine floats each */
    uint32_t *ids;           /* triangles of band 0, of band 1, … */
    layer_range *id_ranges;  /* of each of these: what lies side by side is read so */
    size_t chunks;
    box *boxes;             /* of each chunk */
    layer_range *ranges;    /* of each triangle */
    uint16_t *band_of;      /* of each layer */
    size_t *counts;         /* chunk * bands + band: how many; then where they go */
    size_t *band_ends;      /* in ids */
    job *jobs;              /* one a band */
    enum stage *next_stage; /* guarded by lock: of each job; STAGES: done */
    bool *at_work;          /* guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    stoa_interp *interps[MOST_WORKERS];
    span *spans; /* guarded by lock */
    size_t span_count, span_room;
} pipeline;

double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
note(pipeline *p, enum stage stage, double begin)
{
    pthread_mutex_lock(&p->lock);
    if (p->span_count == p->span_room) {
        p->span_room = 2 * p->span_room + 64;
        p->spans = realloc(p->spans, p->span_room * sizeof(*p->spans));
        if (p->spans == NULL) {
            no_memory("the times");
        }
    }
    p->spans[p->span_count++] = (span){stage, begin, now()};
    pthread_mutex_unlock(&p->lock);
}

/* ---- the same on all chunks --------------------------------------------------------------------------------------- */

typedef struct sweep {
    pipeline *pipeline;
    void (*work)(pipeline *p, size_t chunk);
    enum stage stage;
    _Atomic size_t next;
} sweep;

static void *
sweep_thread(void *arg)
{
    sweep *s = arg;
    double begin = now();
    for (size_t chunk; (chunk = atomic_fetch_add(&s->next, 1)) < s->pipeline->chunks;) {
        s->work(s->pipeline, chunk);
    }
    note(s->pipeline, s->stage, begin);
    return NULL;
}

static void
on_threads(const pipeline *p, void *(*function)(void *), void *const *arguments)
{
    pthread_t threads[MOST_WORKERS];
    for (int32_t i = 0; i < p->order->workers; i++) {
        if (pthread_create(&threads[i], NULL, function, arguments[i]) != 0) {
            no_memory("a thread");
        }
    }
    for (int32_t i = 0; i < p->order->workers; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void
sweep_chunks(pipeline *p, enum stage stage, void (*work)(pipeline *p, size_t chunk))
{
    sweep s = {p, work, stage, 0};
    void *arguments[MOST_WORKERS];
    for (int32_t i = 0; i < p->order->workers; i++) {
        arguments[i] = &s;
    }
    on_threads(p, sweep_thread, arguments);
}

/* ---- arrays in the heap ------------------------------------------------------------------------------------------- */

static stoa_array_maker *
begin_array(pipeline *p, const char *format, size_t ndim, const size_t *shape, void **data)
{
    stoa_array_spec spec = {.size = sizeof(spec), .format = format, .ndim = ndim, .shape = shape};
    stoa_array_maker *maker;
    check(stoa_array_begin(p->region, &spec, &maker, data), "array");
    return maker;
}

static const void *
array_data(const stoa_object *array, size_t *count)
{
    stoa_array_info info = {.size = sizeof(info)};
    check(stoa_get_array(array, &info), "array");
    if (count != NULL) {
        *count = info.count;
    }
    return info.data;
}

/* job->make and job->done. */
typedef struct heap_job {
    job job; /* first: the one is the other */
    pipeline *pipeline;
} heap_job;

/* What only C stages see, one after the other, is ordinary memory, whose pages come back with the next band. */
static bool
is_passing(enum slot slot)
{
    return slot == SEGMENTS || slot == SEGMENT_ENDS || slot == POINTS || slot == INSET;
}

static void *
make_block(job *job, enum slot slot, size_t count)
{
    size_t shape[2] = {count, slot_kinds[slot].width};
    void *data;
    if (!is_passing(slot)) {
        job->writing[slot] = begin_array(((heap_job *)job)->pipeline, slot_kinds[slot].format,
                                         shape[1] == 1 ? 1 : 2, shape, &data);
        return data;
    }
    data = malloc(count * slot_kinds[slot].width * slot_kinds[slot].size + 1);
    if (data == NULL) {
        no_memory("a block");
    }
    job->writing[slot] = data;
    job->blocks[slot] = (block){data, count};
    return data;
}

static void
take_array(job *job, enum slot slot, const stoa_object *array)
{
    size_t numbers;
    job->shared[slot] = array;
    job->blocks[slot].data = array_data(array, &numbers);
    job->blocks[slot].count = numbers / slot_kinds[slot].width;
}

static void
seal_block(job *job, enum slot slot)
{
    if (!is_passing(slot)) {
        const stoa_object *array;
        check(stoa_array_seal(job->writing[slot], &array), "array");
        take_array(job, slot, array);
    }
}

static void
free_passing(job *job, enum slot slot)
{
    free(job->writing[slot]);
    job->blocks[slot] = (block){NULL, 0};
}

/* ---- reading and sorting ------------------------------------------------------------------------------------------ */

static size_t
chunk_end(const pipeline *p, size_t chunk)
{
    return chunk + 1 == p->chunks ? p->file.triangles : (chunk + 1) * CHUNK;
}

static void
read_chunk(pipeline *p, size_t chunk)
{
    char why[200];
    size_t from = chunk * CHUNK, to = chunk_end(p, chunk);
    float *piece = malloc((to - from) * 36);
    if (piece == NULL) {
        no_memory("a piece of the surface");
    }
    if (!stl_read(&p->file, from, to, piece, why, sizeof(why))) {
        bad_file(p->order->path, why);
    }
    p->boxes[chunk] = no_box;
    find_box(piece, 0, to - from, &p->boxes[chunk]);
    check(stoa_array_write(p->maker, from * 36, piece, (to - from) * 36), "surface");
    free(piece);
}

static void
count_chunk(pipeline *p, size_t chunk)
{
    find_layers(&p->plan, p->band_of, p->triangles, chunk * CHUNK, chunk_end(p, chunk), p->ranges,
                p->counts + chunk * (size_t)p->plan.bands);
}

static void
sort_chunk(pipeline *p, size_t chunk)
{
    size_t *next = p->counts + chunk * (size_t)p->plan.bands;
    for (size_t i = chunk * CHUNK, end = chunk_end(p, chunk); i < end; i++) {
        layer_range r = p->ranges[i];
        if (r.first < r.end) {
            for (uint16_t band = p->band_of[r.first]; band <= p->band_of[r.end - 1]; band++) {
                p->id_ranges[next[band]] = r;
                p->ids[next[band]++] = (uint32_t)i;
            }
        }
    }
}

void
make_plan(plan *plan, const order *order, const box *box)
{
    float height = box->high[2] - box->low[2], width = box->high[0] - box->low[0],
          depth = box->high[1] - box->low[1];
    float size = fmaxf(width, 0.5f * depth + 0.8f * height);
    *plan = (struct plan){.box = *box, .layers = order->layers, .bands = order->bands, .draw_most = 160};
    plan->step = fmaxf(height / (float)order->layers, 1e-30f);
    plan->layers_a_unit = 1 / plan->step;
    plan->inset = plan->step / 4;
    plan->draw_every = order->layers / 60 + 1;
    plan->scale = PICTURE_WIDTH / fmaxf(size, 1e-30f);
}

static void
read_surface(pipeline *p)
{
    char why[200];
    if (!stl_open(p->order->path, &p->file, why, sizeof(why))) {
        bad_file(p->order->path, why);
    }
    if (p->file.triangles > UINT32_MAX) {
        bad_file(p->order->path, "more than 4294967295 triangles");
    }
    p->chunks = p->file.ascii ? 1 : (p->file.triangles + CHUNK - 1) / CHUNK;
    p->boxes = calloc(p->chunks, sizeof(*p->boxes));
    if (p->boxes == NULL) {
        no_memory("boxes");
    }
    size_t shape[3] = {p->file.triangles, 3, 3};
    p->maker = begin_array(p, "f", 3, shape, NULL);
    sweep_chunks(p, READ, read_chunk);
    check(stoa_array_seal(p->maker, &p->surface), "surface");
    p->triangles = array_data(p->surface, NULL);
    stl_close(&p->file);
    box all = no_box;
    for (size_t i = 0; i < p->chunks; i++) {
        add_box(&all, &p->boxes[i]);
    }
    make_plan(&p->plan, p->order, &all);
}

static void
sort_surface(pipeline *p)
{
    size_t bands = (size_t)p->plan.bands, total = 0;
    p->counts = calloc(p->chunks * bands, sizeof(*p->counts));
    p->band_ends = calloc(bands, sizeof(*p->band_ends));
    p->ranges = malloc(p->file.triangles * sizeof(*p->ranges));
    p->band_of = bands_of_layers(&p->plan);
    if (p->counts == NULL || p->band_ends == NULL || p->ranges == NULL) {
        no_memory("bands");
    }
    sweep_chunks(p, SORT, count_chunk);
    for (size_t band = 0; band < bands; band++) {
        for (size_t chunk = 0; chunk < p->chunks; chunk++) {
            size_t count = p->counts[chunk * bands + band];
            p->counts[chunk * bands + band] = total;
            total += count;
        }
        p->band_ends[band] = total;
    }
    p->ids = malloc(total * sizeof(*p->ids) + 1);
    p->id_ranges = malloc(total * sizeof(*p->id_ranges) + 1);
    if (p->ids == NULL || p->id_ranges == NULL) {
        no_memory("bands");
    }
    sweep_chunks(p, SORT, sort_chunk);
}

/* ---- the stages of a band ----------------------------------------------------------------------------------------- */

void
run_kernel(enum stage stage, job *job, const plan *plan, const float *triangles, const layer_range *ranges,
           const uint32_t *ids, size_t count)
{
    switch (stage) {
    case SLICE:
        slice_band(job, plan, triangles, ranges, ids, count);
        break;
    case CHAIN:
        chain_contours(job, plan);
        break;
    case INSET_STAGE:
        inset_contours(job, plan);
        break;
    default:
        draw_band(job, plan);
    }
}

/* A stage in Python: it gets the arrays as they are, and what it returns is frozen. */
static void
run_python(stoa_interp *interp, const char *function, job *job, enum slot slot)
{
    stoa_data arguments[2] = {stoa_data_shared(job->shared[MEASURES]),
                              stoa_data_shared(job->shared[CONTOUR_LAYERS])};
    stoa_data result;
    stoa_exception *exception = NULL;
    check_call(stoa_call(interp, function, arguments, 2, STOA_CALL_FREEZE_RESULT, &result, &exception),
               function, &exception);
    take_array(job, slot, result.as.shared);
}

static void
run_stage(pipeline *p, job *job, enum stage stage, stoa_interp *interp)
{
    size_t from = job->band == 0 ? 0 : p->band_ends[job->band - 1];
    if (stage == STATISTICS_STAGE) {
        run_python(interp, "__main__:statistics", job, STATISTICS);
    }
    else if (stage == PLAN_STAGE) {
        run_python(interp, "__main__:plan", job, ORDER);
    }
    else {
        run_kernel(stage, job, &p->plan, p->triangles, p->id_ranges + from, p->ids + from,
                   p->band_ends[job->band] - from);
    }
    if (stage == CHAIN) {
        free_passing(job, SEGMENTS);
        free_passing(job, SEGMENT_ENDS);
    }
    else if (stage == INSET_STAGE) {
        free_passing(job, POINTS);
    }
    else if (stage == DRAW) {
        free_passing(job, INSET);
    }
}

/* The job that is furthest on, and nobody's; NULL: all are done, or somebody's. The lock is held. */
static job *
choose(pipeline *p, bool *all_done)
{
    job *best = NULL;
    *all_done = true;
    for (int32_t band = 0; band < p->plan.bands; band++) {
        *all_done = *all_done && p->next_stage[band] == STAGES;
        if (p->next_stage[band] != STAGES && !p->at_work[band] &&
            (best == NULL || p->next_stage[band] > p->next_stage[best->band])) {
            best = &p->jobs[band];
        }
    }
    return best;
}

typedef struct worker {
    pipeline *pipeline;
    int32_t number;
} worker;

static void *
work(void *arg)
{
    const worker *w = arg;
    pipeline *p = w->pipeline;
    for (;;) {
        bool all_done;
        pthread_mutex_lock(&p->lock);
        job *mine = choose(p, &all_done);
        while (mine == NULL && !all_done) {
            pthread_cond_wait(&p->changed, &p->lock);
            mine = choose(p, &all_done);
        }
        if (mine != NULL) {
            p->at_work[mine->band] = true;
        }
        pthread_mutex_unlock(&p->lock);
        if (mine == NULL) {
            return NULL;
        }
        enum stage stage = p->next_stage[mine->band];
        double begin = now();
        heap_job here = {*mine, p};
        run_stage(p, &here.job, stage, p->interps[w->number]);
        *mine = here.job;
        note(p, stage, begin);
        pthread_mutex_lock(&p->lock);
        p->next_stage[mine->band] = stage + 1;
        p->at_work[mine->band] = false;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
}

static void
work_on_bands(pipeline *p)
{
    size_t bands = (size_t)p->plan.bands;
    p->jobs = calloc(bands, sizeof(*p->jobs));
    p->next_stage = calloc(bands, sizeof(*p->next_stage));
    p->at_work = calloc(bands, sizeof(*p->at_work));
    if (p->jobs == NULL || p->next_stage == NULL || p->at_work == NULL) {
        no_memory("jobs");
    }
    for (size_t band = 0; band < bands; band++) {
        p->jobs[band].make = make_block;
        p->jobs[band].done = seal_block;
        p->next_stage[band] = SLICE;
        job_begin(&p->jobs[band], &p->plan, (int32_t)band);
    }
    worker workers[MOST_WORKERS];
    void *arguments[MOST_WORKERS];
    for (int32_t i = 0; i < p->order->workers; i++) {
        workers[i] = (worker){p, i};
        arguments[i] = &workers[i];
    }
    on_threads(p, work, arguments);
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

void
add_job(outcome *out, const job *job)
{
    const double *rows = job->blocks[STATISTICS].data;
    for (size_t i = 0; i < job->blocks[STATISTICS].count; i++) {
        out->area += rows[3 * i + 1];
        out->length += rows[3 * i + 2];
    }
    out->contours += job->blocks[CONTOUR_ENDS].count;
    const int32_t *ends = job->blocks[CONTOUR_ENDS].data;
    out->points += job->blocks[CONTOUR_ENDS].count != 0 ? (size_t)ends[job->blocks[CONTOUR_ENDS].count - 1] : 0;
    size_t more = job->blocks[PICTURE].count;
    out->picture = realloc(out->picture, out->picture_size + more + 1);
    if (out->picture == NULL) {
        no_memory("the picture");
    }
    if (more != 0) {
        memcpy(out->picture + out->picture_size, job->blocks[PICTURE].data, more);
    }
    out->picture_size += more;
}

static int
by_time(const void *a, const void *b)
{
    const double *s = a, *t = b;
    return s[0] < t[0] ? -1 : s[0] > t[0];
}

/* Seconds in which two different stages were at work at once. */
static double
find_overlap(const pipeline *p)
{
    double(*events)[2] = malloc(2 * p->span_count * sizeof(*events)), overlap = 0, last = 0;
    int active[STAGES] = {0}, different = 0;
    if (events == NULL) {
        no_memory("the times");
    }
    for (size_t i = 0; i < p->span_count; i++) {
        events[2 * i][0] = p->spans[i].begin;
        events[2 * i][1] = p->spans[i].stage + 1;
        events[2 * i + 1][0] = p->spans[i].end;
        events[2 * i + 1][1] = -(double)p->spans[i].stage - 1;
    }
    qsort(events, 2 * p->span_count, sizeof(*events), by_time);
    for (size_t i = 0; i < 2 * p->span_count; i++) {
        overlap += different >= 2 ? events[i][0] - last : 0;
        last = events[i][0];
        int stage = (int)fabs(events[i][1]) - 1;
        different -= active[stage] > 0;
        active[stage] += events[i][1] > 0 ? 1 : -1;
        different += active[stage] > 0;
    }
    free(events);
    return overlap;
}

static void
open_interpreters(pipeline *p)
{
    for (int32_t i = 0; i < p->order->workers; i++) {
        char name[32];
        stoa_exception *exception = NULL;
        snprintf(name, sizeof(name), "planner-%d", (int)i);
        check(stoa_interp_new(name, false, &p->interps[i]), "interpreter");
        check_call(stoa_exec(p->interps[i], PLANNER, "planner", &exception), "planner", &exception);
    }
}

static void
close_all(pipeline *p)
{
    for (int32_t i = 0; i < p->order->workers; i++) {
        check(stoa_interp_close(p->interps[i], 10.0), "close");
        stoa_interp_free(p->interps[i]);
    }
    stoa_region_free(p->region);
    free(p->boxes);
    free(p->ids);
    free(p->id_ranges);
    free(p->ranges);
    free(p->band_of);
    free(p->counts);
    free(p->band_ends);
    free(p->jobs);
    free(p->next_stage);
    free(p->at_work);
    free(p->spans);
}

void
run_pipeline(const order *order, outcome *out)
{
    pipeline p = {.order = order, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    *out = (outcome){.triangles = 0};
    check(stoa_region_new("geometry", 0, &p.region), "region");
    open_interpreters(&p);
    double begin = now();
    read_surface(&p);
    sort_surface(&p);
    work_on_bands(&p);
    for (int32_t band = 0; band < p.plan.bands; band++) {
        add_job(out, &p.jobs[band]);
    }
    out->seconds = now() - begin;
    out->triangles = p.file.triangles;
    float corner[2];
    place_in_picture(&p.plan, 0, p.plan.box.low[1], p.plan.box.low[2], corner);
    out->picture_height = (double)corner[1];
    for (size_t i = 0; i < p.span_count; i++) {
        out->busy[p.spans[i].stage] += p.spans[i].end - p.spans[i].begin;
    }
    out->overlap = find_overlap(&p);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    out->peak = (double)usage.ru_maxrss * 1024;
    close_all(&p);
}
