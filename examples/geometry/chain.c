#include "kernels.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* Segments of one layer, and which follows which. */
typedef struct chainer {
    const float *segments; /* of the layer */
    uint32_t count;
    uint32_t *table; /* by the place where they begin: the first segment + 1 of a list; 0: none */
    int bits;        /* the table has 2 to this many lists */
    uint32_t *same;  /* the rest of the list: as in table */
    uint32_t *next;
    uint8_t *follows; /* some other one */
    uint32_t begins;  /* how many do not */
    size_t table_room, room;
} chainer;

static void
make_room(chainer *c)
{
    for (c->bits = 6; (size_t)1 << c->bits < 2 * (size_t)c->count; c->bits++) {
    }
    size_t places = (size_t)1 << c->bits;
    if (places > c->table_room) {
        free(c->table);
        c->table = malloc(places * sizeof(*c->table));
        c->table_room = places;
    }
    if (c->count > c->room) {
        free(c->same);
        free(c->next);
        free(c->follows);
        c->same = malloc(c->count * sizeof(*c->same));
        c->next = malloc(c->count * sizeof(*c->next));
        c->follows = malloc(c->count);
        c->room = c->count;
    }
    if (c->table == NULL || (c->count != 0 && (c->same == NULL || c->next == NULL || c->follows == NULL))) {
        no_memory("a table of segments");
    }
    memset(c->table, 0, places * sizeof(*c->table));
    if (c->count != 0) {
        memset(c->follows, 0, c->count);
    }
}

static inline uint64_t
bits_of(const float *point)
{
    uint64_t bits;
    memcpy(&bits, point, sizeof(bits));
    return bits;
}

static inline size_t
list_of(const chainer *c, uint64_t point)
{
    return (size_t)(((point ^ point >> 29) * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - c->bits));
}

/* Finds for every segment one that begins where it ends and follows no other; takes it off its list. These searches do not
 * wait for each other, as going along a contour would. A segment of no length may follow itself: it is in no contour. */
static void
link_segments(chainer *c)
{
    c->begins = c->count;
    for (uint32_t i = c->count; i-- > 0;) {
        uint32_t *list = &c->table[list_of(c, bits_of(c->segments + 4 * (size_t)i))];
        c->same[i] = *list;
        *list = i + 1;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        uint64_t end = bits_of(c->segments + 4 * (size_t)i + 2);
        uint32_t *link = &c->table[list_of(c, end)];
        c->next[i] = NONE;
        for (; *link != 0; link = &c->same[*link - 1]) {
            uint32_t other = *link - 1;
            if (bits_of(c->segments + 4 * (size_t)other) == end) {
                c->next[i] = other;
                c->follows[other] = 1;
                *link = c->same[other];
                c->begins--;
                break;
            }
        }
    }
}

/* Writes the points of the contour that begins with segment i; returns where the next contour's go. */
static float *
walk(chainer *c, uint32_t i, float *points)
{
    do {
        memcpy(points, c->segments + 4 * (size_t)i, 2 * sizeof(float));
        points += 2;
        uint32_t next = c->next[i];
        c->next[i] = i; /* done */
        i = next;
    } while (i != NONE && c->next[i] != i);
    return points;
}

void
chain_contours(job *job, const plan *plan)
{
    (void)plan;
    const int32_t *ends = job->blocks[SEGMENT_ENDS].data;
    const float *segments = job->blocks[SEGMENTS].data;
    size_t count = job->blocks[SEGMENTS].count, contours = 0;
    chainer c = {.count = 0};
    int32_t *found = malloc((count + 1) * 2 * sizeof(*found)); /* end and layer of each contour */
    float *points = job->make(job, POINTS, count), *at = points;
    if (found == NULL) {
        no_memory("contours");
    }
    for (size_t layer = 0, from = 0; layer < job->blocks[SEGMENT_ENDS].count; from = (size_t)ends[layer++]) {
        c.segments = segments + 4 * from;
        c.count = (uint32_t)((size_t)ends[layer] - from);
        make_room(&c);
        link_segments(&c);
        /* first those with a beginning, where the surface has a hole */
        for (int closed = c.begins == 0; closed < 2; closed++) {
            for (uint32_t i = 0; i < c.count; i++) {
                if (c.next[i] != i && (closed || !c.follows[i])) {
                    at = walk(&c, i, at);
                    found[2 * contours] = (int32_t)((at - points) / 2);
                    found[2 * contours++ + 1] = job->first_layer + (int32_t)layer;
                }
            }
        }
    }
    int32_t *contour_ends = job->make(job, CONTOUR_ENDS, contours);
    int32_t *layers = job->make(job, CONTOUR_LAYERS, contours);
    for (size_t i = 0; i < contours; i++) {
        contour_ends[i] = found[2 * i];
        layers[i] = found[2 * i + 1];
    }
    free(found);
    free(c.table);
    free(c.same);
    free(c.next);
    free(c.follows);
    job->blocks[POINTS].count = (size_t)(at - points) / 2;
    job->done(job, POINTS);
    job->done(job, CONTOUR_ENDS);
    job->done(job, CONTOUR_LAYERS);
}
