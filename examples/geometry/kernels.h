/* The stages that are C: they need no GIL and no interpreter. Each reads blocks of the job, makes others, and may run on any thread. */
#ifndef GEOMETRY_KERNELS_H
#define GEOMETRY_KERNELS_H

#include "job.h"

/* Cuts triangles (nine floats each; `ids`: which of them, NULL: all) at the heights of the job: SEGMENTS, SEGMENT_ENDS. Where two
 * triangles meet, their segments meet in the same two floats, so that the next stage can go by equality. */
void slice_band(job *job, const plan *plan, const float *triangles, const uint32_t *ids, size_t count);

/* Puts segments end to end: POINTS, CONTOUR_ENDS, CONTOUR_LAYERS. */
void chain_contours(job *job, const plan *plan);

/* Moves each contour inwards by plan->inset: INSET. */
void inset_contours(job *job, const plan *plan);

/* Draws the inset contours of some layers, in order of ORDER, as paths of SVG: PICTURE. */
void draw_band(job *job, const plan *plan);

/* Lowest and highest z of triangles [from, to). */
void find_heights(const float *triangles, size_t from, size_t to, float *low, float *high);

/* The bands [*first, *last] that a triangle reaches; false: none. */
bool bands_of(const plan *plan, const float *triangle, int32_t *first, int32_t *last);

/* The end of the program: a stage has no memory. */
void no_memory(const char *what);

#endif
