#include "kernels.h"

#include <math.h>
#include <stdlib.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize( \
    "no-trapping-math") /* nobody asks what has trapped: without that, loops take four points at once */
#endif

#define LANES 4 /* sums that do not wait for each other */

/* The left normals of the edges of a contour of n points, of length 1; of none where the edge has none. */
static void
find_normals(const float *points, size_t n, float *restrict x_out, float *restrict y_out)
{
    for (size_t i = 0; i + 1 < n; i++) {
        float x = points[2 * i + 2] - points[2 * i], y = points[2 * i + 3] - points[2 * i + 1];
        float square = x * x + y * y, by = 1 / sqrtf(square > 0 ? square : 1);
        x_out[i] = -y * by;
        y_out[i] = x * by;
    }
    float x = points[0] - points[2 * n - 2], y = points[1] - points[2 * n - 1];
    float square = x * x + y * y, by = 1 / sqrtf(square > 0 ? square : 1);
    x_out[n - 1] = -y * by;
    y_out[n - 1] = x * by;
}

/* Moves points by the sum of the normals before and after them; sharp corners do not run away. */
static inline void
move_point(const float *point, float x, float y, float inset, float *out)
{
    float square = x * x + y * y;
    float by = (square > 0.2f ? 2 * inset : 0.2f * inset) / (square > 0.2f ? square : 0.2f);
    out[0] = point[0] + x * by;
    out[1] = point[1] + y * by;
}

static void
move_contour(const float *points, size_t n, const float *restrict x, const float *restrict y, float inset,
             float *restrict out)
{
    move_point(points, x[n - 1] + x[0], y[n - 1] + y[0], inset, out);
    for (size_t i = 1; i < n; i++) {
        move_point(points + 2 * i, x[i - 1] + x[i], y[i - 1] + y[i], inset, out + 2 * i);
    }
}

/* Area and length of a contour, and where it begins. */
static void
measure(const float *p, size_t n, double *out)
{
    double area[LANES] = {0}, length[LANES] = {0};
    size_t i = 0;
    for (; i + LANES < n; i += LANES) {
        float x[LANES + 1], y[LANES + 1], edges[LANES];
        for (size_t k = 0; k <= LANES; k++) {
            x[k] = p[2 * (i + k)];
            y[k] = p[2 * (i + k) + 1];
        }
        for (size_t k = 0; k < LANES; k++) {
            edges[k] = sqrtf((x[k + 1] - x[k]) * (x[k + 1] - x[k]) + (y[k + 1] - y[k]) * (y[k + 1] - y[k]));
            area[k] += (double)x[k] * (double)y[k + 1] - (double)x[k + 1] * (double)y[k];
            length[k] += (double)edges[k];
        }
    }
    for (; i < n; i++) {
        const float *a = p + 2 * i, *b = i + 1 < n ? a + 2 : p;
        float x = b[0] - a[0], y = b[1] - a[1];
        area[0] += (double)a[0] * (double)b[1] - (double)b[0] * (double)a[1];
        length[0] += (double)sqrtf(x * x + y * y);
    }
    out[0] = (area[0] + area[1] + area[2] + area[3]) / 2;
    out[1] = length[0] + length[1] + length[2] + length[3];
    out[2] = (double)p[0];
    out[3] = (double)p[1];
}

void
inset_contours(job *job, const plan *plan)
{
    const float *points = job->blocks[POINTS].data;
    const int32_t *ends = job->blocks[CONTOUR_ENDS].data;
    size_t contours = job->blocks[CONTOUR_ENDS].count, longest = 0;
    float *out = job->make(job, INSET, job->blocks[POINTS].count);
    double *measures = job->make(job, MEASURES, contours);
    for (size_t c = 0, from = 0; c < contours; from = (size_t)ends[c++]) {
        longest = longest < (size_t)ends[c] - from ? (size_t)ends[c] - from : longest;
    }
    float *normals = malloc((2 * longest + 1) * sizeof(*normals));
    if (normals == NULL) {
        no_memory("normals");
    }
    for (size_t c = 0, from = 0; c < contours;
         from = (size_t)ends[c++]) { /* one after the other, while it is in the cache */
        size_t n = (size_t)ends[c] - from;
        find_normals(points + 2 * from, n, normals, normals + n);
        move_contour(points + 2 * from, n, normals, normals + n, plan->inset, out + 2 * from);
        measure(out + 2 * from, n, measures + 4 * c);
    }
    free(normals);
    job->done(job, INSET);
    job->done(job, MEASURES);
}
