/* What a freeze has to run Python code for: done between two attempts, when no batch is open.
 *
 * The walk may not run Python code: it holds borrowed pointers into containers that the code could change. So when it meets
 * an object that must be taken apart by code (a __reduce__, a registered function, an import), it notes it and goes on to
 * find the others, gives up the batch, and has them taken apart here: object -> (kind, flags, parts). The next attempt
 * finds the parts and freezes them like children. Parts that need it, too, are met by that attempt, or (chains) right away.
 *
 * Much memory (an ndarray) is copied here as well, so that others may run meanwhile: into a batch beside the walk's, which is
 * committed or aborted with the one of the attempt that has the last word.
 */
#ifndef STOA_IMMORTAL_APART_H
#define STOA_IMMORTAL_APART_H

#include "immortal/plan.h"

typedef struct stoa_apart {
    stoa_foreign_side *side;
    stoa_region *region;  /* that is frozen into; borrowed */
    stoa_memo found;      /* object -> what it was taken apart into: borrowed from `keep` */
    PyObject *keep;       /* list: objects, and what they were taken apart into */
    PyObject *pending;    /* list: objects to be taken apart, in the order met */
    PyObject *identities; /* dict: address of an object that `keep` holds -> the capsule that stands for it */
    size_t depth;         /* objects taken apart as parts of others, one inside the other */
    stoa_batch beside;    /* what was laid already */
    bool beside_open;
} stoa_apart;

/* NULL with an exception. */
stoa_apart *stoa__apart_new(stoa_region *region);
void stoa__apart_free(stoa_apart *apart); /* aborts what lies beside */

/* The batch beside the walk's, to be laid in while taking apart. NULL with an exception. */
stoa_batch *stoa__apart_beside(stoa_apart *apart);

/* What stands for an object of which the whole node lies beside: a capsule, new reference; NULL with an exception. */
PyObject *stoa__apart_laid(stoa_shared *node);

/* The node that a result stands for; NULL: it is no such capsule. Borrowed. */
stoa_shared *stoa__apart_laid_node(PyObject *result);

/* What stands for which one an object is, all over the graph: it is frozen as an IDENTITY node. New reference, NULL with an
 * exception. */
PyObject *stoa__apart_identity(stoa_apart *apart, PyObject *object);
extern const stoa_foreign_kind stoa__identity_kind;

/* The walk is done: what lies beside stays. Before the walk's own batch is committed, which points at it. STOA_EFORKED. */
stoa_err stoa__apart_commit(stoa_apart *apart);

/* Notes one for later; the walk's half. No Python code. false: no memory. */
bool stoa__apart_note(stoa_apart *apart, PyObject *object);

/* A tuple (kind, flags, part, part …), a capsule with the node, or a list [text, exception] that says why there is
 * none; NULL: not taken apart yet. Borrowed. */
PyObject *stoa__apart_find(const stoa_apart *apart, const PyObject *object);

/* The exception that is set came from hashing or comparing `key`, number `index` of the container: kept for the container as
 * [text, exception, key, index]. -1: it is to be raised as it is. */
int stoa__apart_refused(stoa_apart *apart, PyObject *container, PyObject *key, Py_ssize_t index);

/* Takes apart all that was noted. -1 with an exception that is to be raised as it is (not one about an object). */
int stoa__apart_run(stoa_apart *apart);

/* What is to be frozen, or sent, instead of an object that is taken apart by the protocol of pickle, or by who knows better
 * of its class: as stoa__reduce. */
PyObject *stoa__plan_reduce(const stoa_plan *plan, PyObject *object, unsigned flags);
/* What is to be frozen instead of a member of an enumeration: class, name or None, value. New reference, NULL with an
 * exception. */
PyObject *stoa__take_member(PyObject *member);

/* Makes (kind, flags, parts …); takes over the references, also in failure; a NULL is a failure that has happened. */
PyObject *stoa__apart_result(stoa_node_kind kind, unsigned flags, size_t count, PyObject **parts);

#endif
