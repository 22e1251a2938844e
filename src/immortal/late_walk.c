#include "immortal/late_walk.h"

#include <stdlib.h>
#include <string.h>

#include "heap/error.h"
#include "immortal/numbers.h"
#include "immortal/persist.h"

static bool
fail_memory(stoa_walk *walk)
{
    walk->batch.err = stoa__fail(STOA_ENOMEM, "no memory for what was changed in a long container");
    return false;
}

stoa_visit_result
stoa__late_step(stoa_walk *walk, stoa_late *late, bool in_memo, stoa_shared **out)
{
    size_t number = stoa__late_next_changeable(late, 0);
    walk->foreign = true;
    if (number == SIZE_MAX) {
        *out = (stoa_shared *)(uintptr_t)late->node;
        return STOA_VISIT_LEAF;
    }
    if (!stoa__walk_reserve(walk, late->built) ||
        !stoa__walk_open(walk, (PyObject *)late, STOA_FRAME_FOREIGN, in_memo)) {
        return STOA_VISIT_FAILED;
    }
    walk->frames[walk->depth - 1].node_kind = (uint8_t)late->node->kind;
    for (; number != SIZE_MAX; number = stoa__late_next_changeable(late, number + 1)) {
        PyObject *value = stoa__late_built(late, number);
        __builtin_prefetch(value);
        walk->slots[walk->top++] = value;
    }
    return STOA_VISIT_ENTERED;
}

stoa_late *
stoa__late_of_frame(const stoa_frame *frame)
{
    bool foreign = frame->kind == STOA_FRAME_FOREIGN &&
                   (frame->node_kind == STOA_NODE_TUPLE || frame->node_kind == STOA_NODE_PERSISTENT);
    return foreign ? stoa__late_of((PyObject *)(uintptr_t)frame->source) : NULL;
}

/* ---- closing ------------------------------------------------------------------------------------------------------- */

static stoa_shared *
make_tuple(stoa_walk *walk, const stoa_node *node, const stoa_new_value *values, size_t count)
{
    stoa_shared **parts = malloc(node->count * sizeof(*parts)), *made = NULL;
    if (parts == NULL) {
        fail_memory(walk);
        return NULL;
    }
    memcpy(parts, node->parts, node->count * sizeof(*parts));
    for (size_t i = 0; i < count; i++) {
        parts[values[i].number] = values[i].value;
    }
    made = stoa__make_node(&walk->batch, STOA_NODE_TUPLE, STOA_NODE_VALUE, parts, node->count, 0);
    free(parts);
    return made;
}

static stoa_shared *
make_version(stoa_walk *walk, const stoa_node *node, const stoa_new_value *values, size_t count)
{
    stoa_persist version = *stoa__persist_of_node((const PyObject *)node);
    return stoa__persist_set(&walk->batch, &version, values, count)
               ? stoa__persist_node(&walk->batch, &version)
               : NULL;
}

stoa_shared *
stoa__late_close(stoa_walk *walk, const stoa_frame *frame)
{
    const stoa_late *late = stoa__late_of_frame(frame);
    const stoa_node *node = late->node;
    if (!stoa__numbers_lay(walk, frame)) {
        return NULL;
    }
    stoa_new_value *values = malloc((walk->top - frame->base) * sizeof(*values));
    if (values == NULL) {
        fail_memory(walk);
        return NULL;
    }
    size_t changed = 0, number = 0;
    for (size_t i = frame->base; i < walk->top; i++, number++) {
        number = stoa__late_next_changeable(late, number);
        if (walk->slots[i] != stoa__late_part(late, number)) {
            values[changed++] = (stoa_new_value){number, walk->slots[i]};
        }
    }
    stoa_shared *made = changed == 0                    ? (stoa_shared *)(uintptr_t)node
                        : node->kind == STOA_NODE_TUPLE ? make_tuple(walk, node, values, changed)
                                                        : make_version(walk, node, values, changed);
    free(values);
    return made;
}

/* ---- paths --------------------------------------------------------------------------------------------------------- */

void
stoa__late_frame_step(const stoa_frame *frame, stoa_step *out)
{
    const stoa_late *late = stoa__late_of_frame(frame);
    size_t number = stoa__late_next_changeable(late, 0);
    for (size_t i = frame->base; i < frame->next; i++) {
        number = stoa__late_next_changeable(late, number + 1);
    }
    *out = (stoa_step){STOA_STEP_INDEX, number, NULL, NULL};
    if (late->node->kind == STOA_NODE_PERSISTENT) {
        PyObject *key = NULL, *value;
        (void)stoa__persist_pair(stoa__persist_of_node((const PyObject *)late->node), number, &key, &value);
        *out = (stoa_step){STOA_STEP_VALUE, number, key, NULL};
    }
}
