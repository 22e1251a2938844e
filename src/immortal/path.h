/* Where in a graph something is, as text: "$['users'][3]".
 *
 * $ is what was passed in; [3] an item; ['k'] the value of a key; <key 2> the key of the third pair; <member 2> a member
 * of a set; .start an attribute. A path of a million steps is cut in the middle. No code of the user's runs: only keys
 * whose type has a harmless repr are written out.
 */
#ifndef STOA_IMMORTAL_PATH_H
#define STOA_IMMORTAL_PATH_H

#include <Python.h>

#include "stoa/base.h"

typedef struct stoa_path {
    char *text; /* malloc'd, NUL-terminated; NULL until something was written */
    size_t size, capacity;
    bool failed; /* out of memory: what is there is cut short */
} stoa_path;

typedef enum stoa_step_kind {
    STOA_STEP_INDEX,
    STOA_STEP_VALUE, /* of the key in `key` */
    STOA_STEP_KEY,
    STOA_STEP_MEMBER,
    STOA_STEP_ATTRIBUTE,
    STOA_STEP_NONE /* not to be shown: how a thing is described, no part of it */
} stoa_step_kind;

typedef struct stoa_step {
    stoa_step_kind kind;
    size_t index;          /* INDEX, KEY, MEMBER */
    PyObject *key;         /* VALUE: borrowed */
    const char *attribute; /* ATTRIBUTE */
} stoa_step;

/* Gives step number `i` (0: the first one after $). */
typedef void (*stoa_step_fn)(void *arg, size_t i, stoa_step *out);

/* Appends "$" and `count` steps. GIL. Leaves no exception. */
void stoa__path_write(stoa_path *path, stoa_step_fn step, void *arg, size_t count);
/* Appends formatted text. */
void stoa__path_printf(stoa_path *path, const char *format, ...) STOA_PRINTF(2, 3);
/* What was written; never NULL. Borrowed. */
const char *stoa__path_text(const stoa_path *path);
void stoa__path_clear(stoa_path *path);

#endif
