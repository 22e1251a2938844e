#include "heap/thing.h"

#include "heap/process_struct.h"
#include "heap/waiter.h"

#include <stdio.h>
#include <string.h>

/* Things that hold each other end one after the other, not one inside the other: a chain of a million must work. */
static _Thread_local stoa_thing *ended;
static _Thread_local bool ending;

static stoa_things *
table(void)
{
    return &stoa__process->things;
}

void
stoa__things_init(stoa_things *things)
{
    memset(things, 0, sizeof *things);
    stoa__lock_init(&things->lock, STOA_RANK_THINGS);
    stoa_interp_record *owner = &things->owner;
    stoa__lock_init(&owner->lock, STOA_RANK_INTERP);
    (void)snprintf(owner->name, sizeof owner->name, "the process");
    owner->python_id = -1;
    atomic_init(&owner->state, STOA_INTERP_LIVE);
    atomic_init(&owner->refs, 1);
}

stoa_err
stoa__thing_open(stoa_thing *thing, const stoa_thing_class *thing_class, stoa_thing_kind kind)
{
    stoa_things *t = table();
    thing->class = thing_class;
    thing->kind = kind;
    stoa__lock_init(&thing->lock, STOA_RANK_THING);
    stoa_err err = stoa__handle_new(&t->owner, thing, &thing->handle);
    if (err != STOA_OK) {
        return err;
    }
    stoa__lock(&t->lock);
    thing->id = ++t->last_id;
    t->count++;
    thing->previous = NULL;
    thing->next = t->first;
    if (t->first != NULL) {
        t->first->previous = thing;
    }
    t->first = thing;
    stoa__unlock(&t->lock);
    return STOA_OK;
}

stoa_thing *
stoa__thing_ref(stoa_thing *thing)
{
    /* fails only past 2^32 references, and then each further one leaks nothing but the thing */
    (void)stoa__handle_ref(thing->handle);
    return thing;
}

void
stoa__thing_unref(stoa_thing *thing)
{
    if (thing != NULL) {
        stoa__handle_unref(thing->handle);
    }
}

bool
stoa__thing_owns(const stoa_interp_record *owner)
{
    return owner == &table()->owner;
}

stoa_thing *
stoa__thing_of_handle(stoa_handle handle)
{
    stoa_interp_record *owner;
    void *object;
    return stoa__handle_get(handle, &owner, &object) == STOA_OK && stoa__thing_owns(owner) ? object : NULL;
}

void
stoa__thing_end(void *object)
{
    stoa_things *t = table();
    stoa_thing *thing = object;
    stoa__lock(&t->lock);
    if (thing->previous != NULL) {
        thing->previous->next = thing->next;
    }
    else {
        t->first = thing->next;
    }
    if (thing->next != NULL) {
        thing->next->previous = thing->previous;
    }
    t->count--;
    stoa__unlock(&t->lock);
    thing->next_ended = ended;
    ended = thing;
    if (ending) {
        return;
    }
    ending = true;
    while (ended != NULL) {
        thing = ended;
        ended = thing->next_ended;
        thing->class->end(thing);
    }
    ending = false;
}

void
stoa__things_interp_gone(uint32_t serial)
{
    stoa_things *t = table();
    stoa__lock(&t->lock);
    for (stoa_thing *thing = t->first; thing != NULL; thing = thing->next) {
        if (thing->class->interp_gone != NULL) {
            thing->class->interp_gone(thing, serial);
        }
    }
    stoa__unlock(&t->lock);
}

void
stoa__things_each(void (*visit)(const stoa_thing_info *info, void *arg), void *arg)
{
    stoa_things *t = table();
    stoa__lock(&t->lock);
    for (stoa_thing *thing = t->first; thing != NULL; thing = thing->next) {
        stoa_thing_info info;
        memset(&info, 0, sizeof info);
        if (thing->class->describe != NULL) {
            thing->class->describe(thing, &info);
        }
        info.id = thing->id;
        info.handle = thing->handle;
        info.name = thing->class->name;
        info.kind = thing->kind;
        info.refs = stoa__handle_count(thing->handle);
        visit(&info, arg);
    }
    stoa__unlock(&t->lock);
}

uint64_t
stoa__things_count(void)
{
    stoa_things *t = table();
    stoa__lock(&t->lock);
    uint64_t count = t->count;
    stoa__unlock(&t->lock);
    return count;
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

void
stoa__things_fork_prepare(stoa_things *things)
{
    stoa__lock(&things->lock);
    for (stoa_thing *thing = things->first; thing != NULL; thing = thing->next) {
        stoa__lock_another(&thing->lock);
    }
}

void
stoa__things_fork_parent(stoa_things *things)
{
    for (stoa_thing *thing = things->first; thing != NULL; thing = thing->next) {
        stoa__unlock(&thing->lock);
    }
    stoa__unlock(&things->lock);
}

void
stoa__things_fork_child_locks(stoa_things *things)
{
    for (stoa_thing *thing = things->first; thing != NULL; thing = thing->next) {
        stoa__lock_reset(&thing->lock);
    }
    stoa__lock_reset(&things->lock);
}

void
stoa__things_fork_child(stoa_things *things)
{
    stoa_waiter *self = stoa__waiter_here_if_any();
    uint32_t number = self == NULL ? 0 : self->number;
    stoa__lock(&things->lock);
    for (stoa_thing *thing = things->first; thing != NULL; thing = thing->next) {
        if (thing->class->fork_child != NULL) {
            thing->class->fork_child(thing, number);
        }
    }
    stoa__unlock(&things->lock);
}
