/* Keys whose hash and comparison are Python code, tried before anything is committed.
 *
 * A mapping or set with keys of a class is delivered by building it from the keys' twins, which runs their __hash__ and
 * __eq__; and these may raise. After the commit that would be too late: the objects of the batch have been shown to that
 * code, somebody may have kept one, so they could never be given back. So while the batch is still open the same is
 * done with the objects that the keys were frozen from, which are the caller's own: nothing of the batch is seen by any
 * code, and when a key refuses the batch is given up as for any other refusal. The next attempt meets the container again
 * and tells the place.
 */
#ifndef STOA_IMMORTAL_KEYS_H
#define STOA_IMMORTAL_KEYS_H

#include "immortal/foreign.h"
#include "immortal/walk.h"

/* The innermost frame's container, a mapping or a set, is about to become a node, its children being `parts`: notes its keys for
 * stoa__keys_try, if one is foreign. No Python code. false: they were tried and one has refused (the refusal is
 * written), or there is no memory (batch.err and the message are set). */
bool stoa__keys_note(stoa_walk *walk, const stoa_frame *frame, stoa_node_kind kind, stoa_shared *const *parts);

/* The walk is done: tries what was noted. 1: all are good. 0: one has refused, the walk is to be begun anew. -1 with an
 * exception that is to be raised as it is. Runs Python code. */
int stoa__keys_try(stoa_walk *walk);

#endif
