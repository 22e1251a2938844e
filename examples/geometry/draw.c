#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct text {
    char *at;
    size_t size, room;
} text;

/* Room for one more piece of at most 256 characters. */
static char *
more(text *t)
{
    if (t->room - t->size < 256) {
        t->room = 2 * t->room + 4096;
        t->at = realloc(t->at, t->room);
        if (t->at == NULL) {
            no_memory("the picture");
        }
    }
    return t->at + t->size;
}

/* A number that lies in the picture, to a hundredth. */
static char *
put_number(char *at, float number)
{
    char digits[24];
    int count = 0, hundredths = (int)lrintf(number * 100);
    unsigned left = hundredths < 0 ? 0u - (unsigned)hundredths : (unsigned)hundredths;
    if (hundredths < 0) {
        *at++ = '-';
    }
    do {
        digits[count++] = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0 || count < 3);
    while (count > 2) {
        *at++ = digits[--count];
    }
    *at++ = '.';
    *at++ = digits[1];
    *at++ = digits[0];
    return at;
}

static void
add_point(text *t, char command, const plan *plan, const float *point, float height)
{
    char *at = more(t);
    float place[2];
    place_in_picture(plan, point[0], point[1], height, place);
    *at++ = command;
    at = put_number(at, place[0]);
    *at++ = ' ';
    at = put_number(at, place[1]);
    t->size = (size_t)(at - t->at);
}

/* The beginning of a layer's path: its colour goes from deep blue below to a light yellow on top. */
static void
open_layer(text *t, const plan *plan, int32_t layer)
{
    static const float colours[4][3] = {{38, 50, 92}, {42, 128, 140}, {122, 190, 108}, {250, 226, 120}};
    float place = 3 * ((float)layer + 0.5f) / (float)plan->layers;
    int below = place < 2 ? (int)place : 2, colour[3];
    for (int i = 0; i < 3; i++) {
        float part = place - (float)below;
        colour[i] = (int)((1 - part) * colours[below][i] + part * colours[below + 1][i]);
    }
    t->size += (size_t)snprintf(more(t), 256, "<path fill=\"#%02x%02x%02x\" stroke=\"#%02x%02x%02x\" d=\"\n",
                                colour[0], colour[1], colour[2], colour[0] / 2, colour[1] / 2, colour[2] / 2);
}

static void
close_layer(text *t)
{
    memcpy(more(t), "\"/>\n", 4);
    t->size += 4;
}

void
draw_band(job *job, const plan *plan)
{
    const float *points = job->blocks[INSET].data;
    const int32_t *ends = job->blocks[CONTOUR_ENDS].data, *layers = job->blocks[CONTOUR_LAYERS].data;
    const int32_t *order = job->blocks[ORDER].data;
    int32_t drawn = -1; /* the layer whose path is open */
    text t = {NULL, 0, 0};
    for (size_t k = 0; k < job->blocks[ORDER].count; k++) {
        int32_t c = order[k];
        if (layers[c] % plan->draw_every != 0) {
            continue;
        }
        if (layers[c] != drawn) {
            if (drawn >= 0) {
                close_layer(&t);
            }
            drawn = layers[c];
            open_layer(&t, plan, drawn);
        }
        size_t from = c == 0 ? 0 : (size_t)ends[c - 1], to = (size_t)ends[c];
        size_t step = (to - from) / (size_t)plan->draw_most + 1;
        for (size_t i = from; i < to; i += step) {
            add_point(&t, i == from ? 'M' : 'L', plan, points + 2 * i, layer_height(plan, layers[c]));
        }
        memcpy(more(&t), "Z\n", 2);
        t.size += 2;
    }
    if (drawn >= 0) {
        close_layer(&t);
    }
    char *out = job->make(job, PICTURE, t.size);
    if (t.size != 0) {
        memcpy(out, t.at, t.size);
    }
    free(t.at);
    job->done(job, PICTURE);
}
