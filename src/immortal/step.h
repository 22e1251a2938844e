/* One object of a walk: a leaf is laid down, for a container a frame is opened. By type, the common ones first. */
#ifndef STOA_IMMORTAL_STEP_H
#define STOA_IMMORTAL_STEP_H

#include "immortal/image.h"
#include "immortal/walk.h"

/* `object` is none of the heap and was not met before. LEAF: *out is its twin; ENTERED; FAILED: batch.err and the message, or
 * the refusal, are set; APART. `in_memo`: it can be met again. GIL; no Python code runs. */
stoa_visit_result stoa__step(stoa_walk *walk, PyObject *object, bool in_memo, stoa_shared **out);

#endif
