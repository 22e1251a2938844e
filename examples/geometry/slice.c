#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void
no_memory(const char *what)
{
    fprintf(stderr, "geometry: no memory for %s\n", what);
    exit(1);
}

void
find_heights(const float *triangles, size_t from, size_t to, float *low, float *high)
{
    for (const float *z = triangles + 9 * from + 2, *end = triangles + 9 * to; z < end; z += 3) {
        *low = *z < *low ? *z : *low;
        *high = *z > *high ? *z : *high;
    }
}

/* The layers [*first, *last] that cut a triangle: low < height <= high. A corner counts as above when z >= height. */
static bool
layers_of(const plan *plan, const float *t, int32_t *first, int32_t *last)
{
    float low = fminf(t[2], fminf(t[5], t[8])), high = fmaxf(t[2], fmaxf(t[5], t[8]));
    float from = floorf((low - plan->bottom) / plan->step - 0.5f),
          to = ceilf((high - plan->bottom) / plan->step - 0.5f);
    *first = from < 0 ? 0 : (int32_t)from;
    *last = to > (float)plan->layers - 1 ? plan->layers - 1 : (int32_t)to;
    while (*first <= *last && layer_height(plan, *first) <= low) {
        ++*first;
    }
    while (*first <= *last && layer_height(plan, *last) > high) {
        --*last;
    }
    return *first <= *last;
}

static int32_t
band_of(const plan *plan, int32_t layer)
{
    int32_t band = (int32_t)((int64_t)layer * plan->bands / plan->layers);
    while ((int64_t)plan->layers * (band + 1) / plan->bands <= layer) {
        band++;
    }
    return band;
}

bool
bands_of(const plan *plan, const float *triangle, int32_t *first, int32_t *last)
{
    int32_t from, to;
    if (!layers_of(plan, triangle, &from, &to)) {
        return false;
    }
    *first = band_of(plan, from);
    *last = band_of(plan, to);
    return true;
}

/* Where an edge crosses a height: the same two floats whichever end comes first. */
static void
cross(const float *a, const float *b, float height, float *out)
{
    if (a[2] > b[2] || (a[2] == b[2] && (a[0] > b[0] || (a[0] == b[0] && a[1] > b[1])))) {
        const float *swap = a;
        a = b;
        b = swap;
    }
    float t = (height - a[2]) / (b[2] - a[2]);
    out[0] = a[0] + t * (b[0] - a[0]) + 0.0f; /* no -0: it would not be the same bits */
    out[1] = a[1] + t * (b[1] - a[1]) + 0.0f;
}

/* One triangle at one height: a segment with the inside of the body on its left. */
static void
cut(const float *t, float height, float *out)
{
    int above = (t[2] >= height) | (t[5] >= height) << 1 | (t[8] >= height) << 2;
    static const int lone[8] = {0, 0, 1, 2, 2, 1, 0, 0}; /* the corner that is on its own side */
    int i = lone[above];
    const float *v = t + 3 * i, *next = t + 3 * ((i + 1) % 3), *last = t + 3 * ((i + 2) % 3);
    bool up = above >> i & 1;
    cross(v, next, height, up ? out : out + 2);
    cross(v, last, height, up ? out + 2 : out);
}

void
slice_band(job *job, const plan *plan, const float *triangles, const uint32_t *ids, size_t count)
{
    size_t layers = (size_t)(job->last_layer - job->first_layer);
    int32_t *ends = job->make(job, SEGMENT_ENDS, layers), first, last;
    size_t *next = calloc(layers + 1, sizeof(*next));
    if (next == NULL) {
        no_memory("layers");
    }
    for (size_t i = 0; i < count; i++) {
        if (layers_of(plan, triangles + 9 * (ids != NULL ? ids[i] : i), &first, &last)) {
            first = first < job->first_layer ? job->first_layer : first;
            for (; first <= last && first < job->last_layer; first++) {
                next[first - job->first_layer + 1]++;
            }
        }
    }
    for (size_t k = 0; k < layers; k++) {
        next[k + 1] += next[k];
        ends[k] = (int32_t)next[k + 1];
    }
    float *segments = job->make(job, SEGMENTS, next[layers]);
    for (size_t i = 0; i < count; i++) {
        const float *t = triangles + 9 * (ids != NULL ? ids[i] : i);
        if (layers_of(plan, t, &first, &last)) {
            first = first < job->first_layer ? job->first_layer : first;
            for (; first <= last && first < job->last_layer; first++) {
                cut(t, layer_height(plan, first), segments + 4 * next[first - job->first_layer]++);
            }
        }
    }
    free(next);
    job->done(job, SEGMENT_ENDS);
    job->done(job, SEGMENTS);
}
