#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chaining ---------------------------------------------------------------------------------------------------- */

typedef struct chainer {
    const float *segments;
    uint32_t *table; /* number of a segment + 1, found by where it begins; 0: free */
    size_t mask, room;
    uint8_t *used;
} chainer;

static inline size_t
spread(const float *point, size_t mask)
{
    uint64_t bits;
    memcpy(&bits, point, sizeof(bits));
    bits *= UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(bits >> 32 ^ bits) & mask;
}

static void
enter_segments(chainer *c, size_t from, size_t to)
{
    size_t wanted = 64;
    while (wanted < 2 * (to - from)) {
        wanted *= 2;
    }
    if (wanted > c->room) {
        free(c->table);
        c->table = malloc(wanted * sizeof(*c->table));
        c->room = wanted;
        if (c->table == NULL) {
            no_memory("a table of segments");
        }
    }
    c->mask = wanted - 1;
    memset(c->table, 0, wanted * sizeof(*c->table));
    for (size_t i = from; i < to; i++) {
        size_t at = spread(c->segments + 4 * i, c->mask);
        while (c->table[at] != 0) {
            at = (at + 1) & c->mask;
        }
        c->table[at] = (uint32_t)i + 1;
    }
}

/* The unused segment that begins where this one ends; SIZE_MAX: none. */
static size_t
follow(const chainer *c, size_t segment)
{
    const float *end = c->segments + 4 * segment + 2;
    for (size_t at = spread(end, c->mask); c->table[at] != 0; at = (at + 1) & c->mask) {
        size_t i = c->table[at] - 1;
        if (!c->used[i] && memcmp(c->segments + 4 * i, end, 2 * sizeof(float)) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

void
chain_contours(job *job, const plan *plan)
{
    (void)plan;
    const int32_t *ends = job->blocks[SEGMENT_ENDS].data;
    size_t count = job->blocks[SEGMENTS].count, contours = 0, written = 0;
    chainer c = {.segments = job->blocks[SEGMENTS].data, .used = calloc(count + 1, 1)};
    int32_t *found = malloc((count + 1) * 2 * sizeof(*found)); /* end and layer of each contour */
    float *points = job->make(job, POINTS, count);
    if (c.used == NULL || found == NULL) {
        no_memory("contours");
    }
    for (size_t layer = 0, from = 0; layer < job->blocks[SEGMENT_ENDS].count; from = (size_t)ends[layer++]) {
        enter_segments(&c, from, (size_t)ends[layer]);
        for (size_t i = from; i < (size_t)ends[layer]; i++) {
            if (c.used[i]) {
                continue;
            }
            for (size_t at = i; at != SIZE_MAX; at = follow(&c, at)) {
                c.used[at] = 1;
                memcpy(points + 2 * written++, c.segments + 4 * at, 2 * sizeof(float));
            }
            found[2 * contours] = (int32_t)written;
            found[2 * contours++ + 1] = job->first_layer + (int32_t)layer;
        }
    }
    int32_t *contour_ends = job->make(job, CONTOUR_ENDS, contours);
    int32_t *layers = job->make(job, CONTOUR_LAYERS, contours);
    for (size_t i = 0; i < contours; i++) {
        contour_ends[i] = found[2 * i];
        layers[i] = found[2 * i + 1];
    }
    free(found);
    free(c.used);
    free(c.table);
    job->done(job, POINTS);
    job->done(job, CONTOUR_ENDS);
    job->done(job, CONTOUR_LAYERS);
}

/* ---- offsetting -------------------------------------------------------------------------------------------------- */

/* The left normal of an edge, of length 1; of no length where the edge has none. */
static inline void
normal(const float *a, const float *b, float *out)
{
    float x = b[0] - a[0], y = b[1] - a[1], length = sqrtf(x * x + y * y);
    float by = length > 0 ? 1 / length : 0;
    out[0] = -y * by;
    out[1] = x * by;
}

void
inset_contours(job *job, const plan *plan)
{
    const float *points = job->blocks[POINTS].data;
    const int32_t *ends = job->blocks[CONTOUR_ENDS].data;
    float *out = job->make(job, INSET, job->blocks[POINTS].count);
    for (size_t c = 0, from = 0; c < job->blocks[CONTOUR_ENDS].count; from = (size_t)ends[c++]) {
        size_t to = (size_t)ends[c];
        float before[2], after[2];
        normal(points + 2 * (to - 1), points + 2 * from, before);
        for (size_t i = from; i < to; i++) {
            normal(points + 2 * i, points + 2 * (i + 1 < to ? i + 1 : from), after);
            float x = before[0] + after[0], y = before[1] + after[1];
            float square = x * x + y * y;
            float by = square > 0.2f ? 2 * plan->inset / square
                                     : plan->inset; /* sharp corners do not run away */
            out[2 * i] = points[2 * i] + x * by;
            out[2 * i + 1] = points[2 * i + 1] + y * by;
            memcpy(before, after, sizeof(before));
        }
    }
    job->done(job, INSET);
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

typedef struct text {
    char *at;
    size_t size, room;
} text;

static void
add_point(text *t, char command, float x, float y)
{
    if (t->room - t->size < 64) {
        t->room = 2 * t->room + 4096;
        t->at = realloc(t->at, t->room);
        if (t->at == NULL) {
            no_memory("the picture");
        }
    }
    t->size += (size_t)snprintf(t->at + t->size, 64, "%c%.2f %.2f", command, (double)x, (double)y);
}

void
draw_band(job *job, const plan *plan)
{
    const float *points = job->blocks[INSET].data;
    const int32_t *ends = job->blocks[CONTOUR_ENDS].data, *layers = job->blocks[CONTOUR_LAYERS].data;
    const int32_t *order = job->blocks[ORDER].data;
    text t = {NULL, 0, 0};
    for (size_t k = 0; k < job->blocks[ORDER].count; k++) {
        int32_t c = order[k];
        if (layers[c] % plan->draw_every != 0) {
            continue;
        }
        size_t from = c == 0 ? 0 : (size_t)ends[c - 1], to = (size_t)ends[c];
        size_t step = (to - from) / (size_t)plan->draw_most + 1;
        float height = layer_height(plan, layers[c]);
        for (size_t i = from; i < to; i += step) { /* seen from the front, a little from above */
            add_point(&t, i == from ? 'M' : 'L', points[2 * i], -0.45f * points[2 * i + 1] - 0.8f * height);
        }
        add_point(&t, 'Z', 0, 0);
        while (t.at[t.size - 1] != 'Z') { /* closing takes no numbers */
            t.size--;
        }
        t.at[t.size++] = '\n';
    }
    char *out = job->make(job, PICTURE, t.size);
    if (t.size != 0) {
        memcpy(out, t.at, t.size);
    }
    free(t.at);
    job->done(job, PICTURE);
}
