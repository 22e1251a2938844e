#include "proxy/node.h"

#include "immortal/exceptions.h"
#include "immortal/foreign.h"
#include "proxy/proxy.h"
#include "proxy/proxy_method.h"
#include "proxy/thing.h"

static bool
takes(PyObject *object)
{
    return stoa__is_proxy(object) || stoa__is_thing(object);
}

/* A method that was not asked for yet is asked for first: reduce. */
static stoa_shared *
freeze(stoa_batch *batch, PyObject *object, bool convert, const char **why)
{
    stoa_handle handle;
    if (!convert) {
        *why = "stands for an object that can be changed, and share() takes only what cannot; use freeze()";
        return NULL;
    }
    if (stoa__is_proxy(object) && stoa__proxy(object)->function != NULL) {
        return NULL;
    }
    stoa_side *side = stoa__side_here();
    if (side == NULL || stoa__proxy_handle_of(side, object, &handle) < 0) {
        batch->err = STOA_EPYTHON; /* released, or its owner has closed, and says so */
        return NULL;
    }
    return stoa__make_handle_node(batch, handle);
}

static PyObject *
reduce(PyObject *object, struct stoa_apart *apart, unsigned *flags)
{
    (void)apart;
    (void)flags;
    return stoa__proxy_settle(object) < 0 ? NULL : PyTuple_New(0); /* the next attempt finds it settled */
}

static PyObject *
build(const stoa_node *node, PyObject *const *parts)
{
    (void)parts;
    stoa_handle handle = stoa__handle_of_node(node);
    stoa_side *side = stoa__side_here();
    stoa_err err = side == NULL ? STOA_EPYTHON : stoa__handle_ref_held(handle);
    return err == STOA_OK ? stoa__side_import(side, handle) : stoa__raise(err);
}

static const stoa_foreign_kind handle_kind = {
    .name = "proxy", .build = build, .takes = takes, .freeze = freeze, .reduce = reduce, .known_elsewhere = true};

void
stoa__handle_nodes_ready(void)
{
    stoa__foreign_set_kind(STOA_NODE_HANDLE, &handle_kind);
}
