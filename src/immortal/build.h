/* The builder behind stoa/build.h: a batch, and a stack of values with open containers on it.
 *
 * A batch belongs to one thread and costs an epoch slot while it is open, so it is begun with the first value and not
 * with the builder. `values` holds what was pushed; `opens` says where the open containers start.
 */
#ifndef STOA_IMMORTAL_BUILD_H
#define STOA_IMMORTAL_BUILD_H

#include "stoa/build.h"

#include "immortal/container.h"

typedef struct stoa_open {
    size_t base;         /* of its children in `values` */
    stoa_node_kind kind; /* TUPLE, MAPPING, FROZENSET */
    bool fresh;          /* a child was laid down as it was pushed: so an equal container cannot exist yet */
} stoa_open;

struct stoa_builder {
    stoa_batch batch; /* valid while `working` */
    bool working;
    bool foreign; /* a foreign node was passed in: there may be some among the values */
    unsigned batch_flags;
    const char *before;       /* where the batch stood when the current call began */
    stoa_region *region;      /* a reference is held */
    uint64_t fork_generation; /* when the batch was begun */
    stoa_shared **values;
    size_t top, value_capacity;
    stoa_open *opens;
    size_t depth, open_capacity;
};

/* Ready to make objects: begins the batch when there is none. */
stoa_err stoa__builder_work(stoa_builder *builder);

/* Turns what a make_* function gave into an outcome. */
stoa_err stoa__builder_take(stoa_builder *builder, stoa_shared *made, const stoa_object **out_object);

/* A container of these children. NULL as stoa__make_container. */
stoa_shared *stoa__builder_container(stoa_builder *builder, stoa_node_kind kind, stoa_shared *const *children,
                                     size_t count);

/* May `object` be a child of something this builder makes? STOA_EINVAL with a message. */
stoa_err stoa__builder_check(stoa_builder *builder, const stoa_object *object, const char *what, size_t index);

/* Room for `more` values above the stack. STOA_ENOMEM. */
stoa_err stoa__builder_reserve(stoa_builder *builder, size_t more);

#endif
