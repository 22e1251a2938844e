#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
no_memory(const char *what)
{
    fprintf(stderr, "geometry: no memory for %s\n", what);
    exit(1);
}

void
add_box(box *out, const box *more)
{
    for (int i = 0; i < 3; i++) {
        out->low[i] = more->low[i] < out->low[i] ? more->low[i] : out->low[i];
        out->high[i] = more->high[i] > out->high[i] ? more->high[i] : out->high[i];
    }
}

void
find_box(const float *triangles, size_t from, size_t to, box *out)
{
    box corners[3]; /* a box for each corner of the triangles: the three do not wait for each other */
    for (int c = 0; c < 3; c++) {
        corners[c] = *out;
    }
    for (const float *at = triangles + 9 * from, *end = triangles + 9 * to; at < end; at += 9) {
        for (int c = 0; c < 3; c++) {
            for (int i = 0; i < 3; i++) {
                float number = at[3 * c + i];
                corners[c].low[i] = number < corners[c].low[i] ? number : corners[c].low[i];
                corners[c].high[i] = number > corners[c].high[i] ? number : corners[c].high[i];
            }
        }
    }
    for (int c = 0; c < 3; c++) {
        add_box(out, &corners[c]);
    }
}

/* ---- heights ------------------------------------------------------------------------------------------------------ */

/* How many layers lie at z or below. Numbers of layers are guessed by a product, and put right by the heights themselves. */
static inline int32_t
layers_up_to(const plan *plan, float z)
{
    int32_t k = (int32_t)((z - plan->box.low[2]) * plan->layers_a_unit + 0.5f);
    k = k > plan->layers ? plan->layers : k;
    while (k > 0 && layer_height(plan, k - 1) > z) {
        k--;
    }
    while (k < plan->layers && layer_height(plan, k) <= z) {
        k++;
    }
    return k;
}

/* The layers [*first, *end) that cut a triangle: those with low < height <= high. */
static inline void
layers_of(const plan *plan, const float *t, int32_t *first, int32_t *end)
{
    float low = t[2] < t[5] ? t[2] : t[5], high = t[2] < t[5] ? t[5] : t[2];
    *first = layers_up_to(plan, t[8] < low ? t[8] : low);
    *end = layers_up_to(plan, t[8] > high ? t[8] : high);
}

uint16_t *
bands_of_layers(const plan *plan)
{
    uint16_t *bands = malloc((size_t)plan->layers * sizeof(*bands));
    if (bands == NULL) {
        no_memory("layers");
    }
    for (int32_t band = 0; band < plan->bands; band++) {
        job job;
        job_begin(&job, plan, band);
        for (int32_t layer = job.first_layer; layer < job.last_layer; layer++) {
            bands[layer] = (uint16_t)band;
        }
    }
    return bands;
}

void
find_layers(const plan *plan, const uint16_t *band_of, const float *triangles, size_t from, size_t to,
            layer_range *ranges, size_t *counts)
{
    for (size_t i = from; i < to; i++) {
        int32_t first, end;
        layers_of(plan, triangles + 9 * i, &first, &end);
        ranges[i] = (layer_range){(uint16_t)first, (uint16_t)end};
        for (int32_t band = first < end ? band_of[first] : 1, last = first < end ? band_of[end - 1] : 0;
             band <= last; band++) {
            counts[band]++;
        }
    }
}

/* ---- cutting ------------------------------------------------------------------------------------------------------ */

typedef float pair
    __attribute__((vector_size(8))); /* x and y at once: written so, it can be read so without waiting */

/* An edge, from its lower end. Whose triangle it is makes no difference: the same two floats come out at a height. */
typedef struct edge {
    pair place, way;
    float z, a_height; /* a_height: 1 / its height */
} edge;

static inline pair
pair_at(const float *point)
{
    pair result;
    memcpy(&result, point, sizeof(result));
    return result;
}

static inline edge
make_edge(const float *low, const float *high)
{
    float height = high[2] - low[2];
    pair place = pair_at(low);
    return (edge){place, pair_at(high) - place, low[2], height > 1e-30f ? 1 / height : 0};
}

static inline void
cross(const edge *e, float height, float *out)
{
    float t = (height - e->z) * e->a_height;
    pair point = e->place + (pair){t, t} * e->way + (pair){0, 0}; /* no -0: it would not be the same bits */
    memcpy(out, &point, sizeof(point));
}

/* Corners by height, and whether that order turns the triangle over. Which of z0 > z1, z1 > z2, z0 > z2 hold says it. */
static const struct {
    uint8_t low, middle, high, turned;
} orders[8] = {{0, 3, 6, 0}, {3, 0, 6, 1}, {0, 6, 3, 1}, {0, 3, 6, 0},
               {0, 3, 6, 0}, {3, 6, 0, 0}, {6, 0, 3, 0}, {6, 3, 0, 1}};

/* A triangle at the heights of layers [first, end) of the band: a segment goes to each one's next place, with the inside of
 * the body on its left. All of them have one end on the edge from the lowest to the highest corner. */
static inline void
cut(const float *t, const float *heights, int32_t first, int32_t end, float **places)
{
    int order = (t[2] > t[5]) | (t[5] > t[8]) << 1 | (t[2] > t[8]) << 2;
    const float *low = t + orders[order].low, *middle = t + orders[order].middle,
                *high = t + orders[order].high;
    size_t on_whole = 2 * (size_t)orders[order].turned, on_part = 2 - on_whole;
    const edge whole = make_edge(low, high), parts[2] = {make_edge(low, middle), make_edge(middle, high)};
    for (int32_t k = first; k < end; k++) {
        float *place = places[k];
        places[k] = place + 4;
        cross(&whole, heights[k], place + on_whole);
        cross(&parts[heights[k] > middle[2]], heights[k], place + on_part);
    }
}

#define AHEAD 24 /* triangles: they lie here and there, and come from memory */

/* The part of a range that lies in the band, counted from its first layer. */
static inline void
clip(const job *job, layer_range range, int32_t *first, int32_t *end)
{
    *first = (range.first > job->first_layer ? range.first : job->first_layer) - job->first_layer;
    *end = (range.end < job->last_layer ? range.end : job->last_layer) - job->first_layer;
}

/* Where the segments of each layer end. */
static void
count_segments(const job *job, const layer_range *ranges, size_t count, int32_t *ends)
{
    int32_t layers = job->last_layer - job->first_layer, open = 0, total = 0;
    int32_t *changes = calloc((size_t)layers + 1, sizeof(*changes));
    if (changes == NULL) {
        no_memory("layers");
    }
    for (size_t i = 0; i < count; i++) {
        int32_t first, end;
        clip(job, ranges[i], &first, &end);
        changes[first]++; /* no triangle is here that reaches no layer of the band */
        changes[end]--;
    }
    for (int32_t k = 0; k < layers; k++) {
        open += changes[k];
        ends[k] = total += open;
    }
    free(changes);
}

void
slice_band(job *job, const plan *plan, const float *triangles, const layer_range *ranges, const uint32_t *ids,
           size_t count)
{
    size_t layers = (size_t)(job->last_layer - job->first_layer);
    int32_t *ends = job->make(job, SEGMENT_ENDS, layers);
    float *heights = malloc(layers * sizeof(*heights)), **places = malloc(layers * sizeof(*places));
    if (heights == NULL || places == NULL) {
        no_memory("layers");
    }
    count_segments(job, ranges, count, ends);
    float *segments = job->make(job, SEGMENTS, (size_t)ends[layers - 1]);
    for (size_t k = 0; k < layers; k++) {
        heights[k] = layer_height(plan, job->first_layer + (int32_t)k);
        places[k] = segments + 4 * (k == 0 ? 0 : (size_t)ends[k - 1]);
    }
    for (size_t i = 0; i < count; i++) {
        size_t id = ids != NULL ? ids[i] : i;
        int32_t first, end;
        if (ids != NULL && i + AHEAD < count) {
            __builtin_prefetch(triangles + 9 * (size_t)ids[i + AHEAD]);
            __builtin_prefetch(triangles + 9 * (size_t)ids[i + AHEAD] + 8);
        }
        clip(job, ranges[i], &first, &end);
        cut(triangles + 9 * id, heights, first, end, places);
    }
    free(heights);
    free(places);
    job->done(job, SEGMENT_ENDS);
    job->done(job, SEGMENTS);
}
