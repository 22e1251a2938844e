/* The stages that are C: they need no GIL and no interpreter. Each reads blocks of the job, makes others, and may run
 * on any thread. */
#ifndef GEOMETRY_KERNELS_H
#define GEOMETRY_KERNELS_H

#include "job.h"

/* The layers [first, end) that cut a triangle. */
typedef struct layer_range {
    uint16_t first, end;
} layer_range;

/* Finds the layers of triangles [from, to), and adds to `counts` how many triangles each band has. */
void find_layers(const plan *plan, const uint16_t *band_of, const float *triangles, size_t from, size_t to,
                 layer_range *ranges, size_t *counts);

/* Cuts `count` triangles (nine floats each; `ids`: which of them, NULL: the first) at the heights of the job; `ranges` are
 * of the first to be cut, of the second, …: SEGMENTS, SEGMENT_ENDS. Where two triangles meet, their segments meet in the same
 * two floats, so that the next stage can go by equality. */
void slice_band(job *job, const plan *plan, const float *triangles, const layer_range *ranges,
                const uint32_t *ids, size_t count);

/* Puts segments end to end: POINTS, CONTOUR_ENDS, CONTOUR_LAYERS. */
void chain_contours(job *job, const plan *plan);

/* Moves each contour inwards by plan->inset: INSET; and measures what comes out: MEASURES. */
void inset_contours(job *job, const plan *plan);

/* Draws the inset contours of some layers, in order of ORDER, as paths of SVG: PICTURE. */
void draw_band(job *job, const plan *plan);

/* Widens the box to take in triangles [from, to). */
void find_box(const float *triangles, size_t from, size_t to, box *out);

/* Widens `out` to take in `more`. */
void add_box(box *out, const box *more);

/* The band of each layer; owned by the caller. */
uint16_t *bands_of_layers(const plan *plan);

/* The end of the program: a stage has no memory. */
void no_memory(const char *what);

#endif
