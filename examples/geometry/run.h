/* Running the pipeline: in one process over the shared heap, or as processes over pipes. */
#ifndef GEOMETRY_RUN_H
#define GEOMETRY_RUN_H

#include "kernels.h"

enum stage { READ, SORT, SLICE, CHAIN, INSET_STAGE, STATISTICS_STAGE, PLAN_STAGE, DRAW, STAGES };

static const char *const stage_names[STAGES] = {"read",  "sort",       "slice", "chain",
                                                "inset", "statistics", "plan",  "draw"};

/* What is asked for. */
typedef struct order {
    const char *path; /* of the STL file */
    int32_t layers, bands, workers;
} order;

/* What came out, and what it took. */
typedef struct outcome {
    size_t triangles, contours, points;
    double area, length; /* of all layers */
    double seconds;      /* from the file to the picture */
    double busy[STAGES]; /* seconds of all workers */
    double overlap;      /* seconds in which two different stages were at work */
    double peak;         /* bytes of memory, of all processes */
    char *picture;       /* owned: paths of SVG, band after band */
    size_t picture_size;
    double picture_height;
} outcome;

/* Both end the program with a message when the file is no good. */
void run_pipeline(const order *order, outcome *out);
void run_pipes(const order *order, outcome *out);

double now(void);
/* Lays the layers over the heights of the surface. */
void make_plan(plan *plan, const order *order, const box *box);
/* Adds what a job has to the outcome; bands must come in order. */
void add_job(outcome *out, const job *job);
/* One of the stages from SLICE on that are C. */
void run_kernel(enum stage stage, job *job, const plan *plan, const float *triangles,
                const layer_range *ranges, const uint32_t *ids, size_t count);

#endif
