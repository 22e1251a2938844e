/* What flows through the pipeline: a job is one band of heights, with the blocks of numbers that its stages have made so far.
 *
 * A stage reads blocks and makes new ones; who runs it decides where those lie: in the shared heap (pipeline.c), or in this
 * process's own memory, to be written into a pipe (pipes.c).
 */
#ifndef GEOMETRY_JOB_H
#define GEOMETRY_JOB_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stoa/value.h"

enum slot {
    SEGMENTS,       /* float x, y, x, y: directed, layer after layer */
    SEGMENT_ENDS,   /* int32 for each layer of the band: where its segments end */
    POINTS,         /* float x, y: contour after contour */
    CONTOUR_ENDS,   /* int32 for each contour: where its points end */
    CONTOUR_LAYERS, /* int32 for each contour */
    INSET,          /* float x, y: as POINTS */
    MEASURES,       /* double area, length, x, y of its beginning: for each contour of INSET */
    STATISTICS,     /* double layer, area, length: for each layer that has contours */
    ORDER,          /* int32: contours in the order of the tool's path */
    PICTURE,        /* characters */
    SLOTS
};

/* How they are described: format, numbers an item, bytes a number. */
typedef struct slot_kind {
    const char *format;
    size_t width, size;
} slot_kind;

static const slot_kind slot_kinds[SLOTS] = {
    {"f", 4, 4}, {"i", 1, 4}, {"f", 2, 4}, {"i", 1, 4}, {"i", 1, 4},
    {"f", 2, 4}, {"d", 4, 8}, {"d", 3, 8}, {"i", 1, 4}, {"B", 1, 1},
};

typedef struct block {
    const void *data;
    size_t count; /* items */
} block;

#define MOST_BANDS 4096
#define MOST_LAYERS 60000
#define PICTURE_WIDTH 1000

typedef struct box {
    float low[3], high[3];
} box;

static const box no_box = {{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}};

/* The heights at which the surface is cut, and how it is drawn. */
typedef struct plan {
    box box;
    float step, layers_a_unit; /* layer k is at box.low[2] + (k + 0.5) * step */
    int32_t layers, bands;
    float inset;                   /* how far contours move inwards */
    int32_t draw_every, draw_most; /* layers, points of a contour: of the picture */
    float scale;                   /* of the picture */
} plan;

typedef struct job {
    int32_t band, first_layer, last_layer; /* last one not included */
    block blocks[SLOTS];
    const stoa_object *shared[SLOTS]; /* in the heap: the same blocks */
    /* Where a stage writes a block of `count` items; the program ends when there is no memory. */
    void *(*make)(struct job *job, enum slot slot, size_t count);
    /* It is written; who wants fewer items than were asked for, of POINTS, has set the count. */
    void (*done)(struct job *job, enum slot slot);
    void *writing[SLOTS]; /* of make and done */
} job;

static inline float
layer_height(const plan *plan, int32_t layer)
{
    return plan->box.low[2] + ((float)layer + 0.5f) * plan->step;
}

/* Seen from the front, a little from above. */
static inline void
place_in_picture(const plan *plan, float x, float y, float z, float out[2])
{
    out[0] = (x - plan->box.low[0]) * plan->scale;
    out[1] = (0.5f * (plan->box.high[1] - y) + 0.8f * (plan->box.high[2] - z)) * plan->scale;
}

/* Which layers a job has. */
static inline void
job_begin(job *job, const plan *plan, int32_t band)
{
    job->band = band;
    job->first_layer = (int32_t)((int64_t)plan->layers * band / plan->bands);
    job->last_layer = (int32_t)((int64_t)plan->layers * (band + 1) / plan->bands);
}

#endif
