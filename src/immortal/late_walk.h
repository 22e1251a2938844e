/* Freezing again what is built late (late.h): only the values that were built, and may have been changed, are walked. */
#ifndef STOA_IMMORTAL_LATE_WALK_H
#define STOA_IMMORTAL_LATE_WALK_H

#include "immortal/late.h"
#include "immortal/walk.h"

/* One that may have been changed, and lies within reach: a leaf, or its frame was opened, whose slots are those values in
 * order of their numbers. */
stoa_visit_result stoa__late_step(stoa_walk *walk, stoa_late *late, bool in_memo, stoa_shared **out);

/* What such a frame was opened for; NULL: it is another one. */
stoa_late *stoa__late_of_frame(const stoa_frame *frame);

/* What it has become: the node that it was, where nothing has changed. NULL: batch.err and the message are set. */
stoa_shared *stoa__late_close(stoa_walk *walk, const stoa_frame *frame);

/* How a path names the current slot of such a frame. */
void stoa__late_frame_step(const stoa_frame *frame, stoa_step *out);

#endif
