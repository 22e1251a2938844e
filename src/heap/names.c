#include "heap/names.h"

#include "heap/error.h"
#include "heap/process_struct.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static stoa_names *
table(void)
{
    return &stoa__process->names;
}

void
stoa__names_init(stoa_names *names)
{
    memset(names, 0, sizeof *names);
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        stoa__name_table_init(&names->shards[i].table);
    }
    stoa__once_init(&names->once);
    if (getrandom(&names->seed, sizeof names->seed, GRND_NONBLOCK) != sizeof names->seed) {
        names->seed = (uint64_t)stoa__now() * UINT64_C(0x9E3779B97F4A7C15);
    }
}

/* ---- publishing and looking up ------------------------------------------------------------------------------------ */

static stoa_err
not_found(const char *name, size_t size)
{
    stoa_shown_name shown;
    return stoa__fail(STOA_ENOTFOUND, "nothing is published under the name '%s'",
                      stoa__name_show(name, size, &shown));
}

stoa_err
stoa__name_lookup(const char *name, size_t size, const stoa_interp_record *receiver, stoa_value *out)
{
    if (size == 0 || size > STOA_NAME_MAX) {
        return stoa__name_check(name, size);
    }
    stoa_name_key key = stoa__name_key(name, size);
    stoa_err err;
    STOA_COUNT(&stoa__process->counters, lookups);
    if (!stoa__name_find(stoa__name_shard_of(&key), &key, receiver, out, &err)) {
        return not_found(name, size);
    }
    return err;
}

stoa_err
stoa__name_in_use(const char *name, size_t size, bool *out_in_use)
{
    stoa_held_value held;
    stoa_err err = stoa__name_check(name, size);
    if (err == STOA_OK) {
        stoa_name_key key = stoa__name_key(name, size);
        *out_in_use = stoa__name_table_find(&stoa__name_shard_of(&key)->table, &key, &held);
    }
    return err;
}

static stoa_err
publish(const char *name, size_t size, const stoa_value *value, bool may_replace)
{
    stoa_held_value held;
    stoa_err err = stoa__name_check(name, size);
    if (err == STOA_OK) {
        err = stoa__name_hold(value, &held);
    }
    if (err != STOA_OK) {
        return err;
    }
    stoa_name_key key = stoa__name_key(name, size);
    stoa_name_shard *shard = stoa__name_shard_of(&key);
    err = stoa__name_enter(shard, &key, &held, may_replace);
    if (err == STOA_OK) {
        stoa__name_wake(shard);
    }
    stoa__name_let_go(&held); /* the one replaced, or the one that could not be entered */
    return err;
}

stoa_err
stoa__name_publish(const char *name, size_t size, const stoa_value *value)
{
    return publish(name, size, value, false);
}

stoa_err
stoa__name_replace(const char *name, size_t size, const stoa_value *value)
{
    return publish(name, size, value, true);
}

stoa_err
stoa__name_unpublish(const char *name, size_t size)
{
    if (size == 0 || size > STOA_NAME_MAX) {
        return stoa__name_check(name, size);
    }
    stoa_name_key key = stoa__name_key(name, size);
    stoa_name_shard *shard = stoa__name_shard_of(&key);
    stoa_held_value old;
    stoa__lock(&shard->table.lock);
    bool found = stoa__name_table_find_locked(&shard->table, &key, &old);
    if (found) {
        stoa__name_table_remove(&shard->table, &key);
    }
    stoa__unlock(&shard->table.lock);
    if (!found) {
        return not_found(name, size);
    }
    stoa__name_let_go(&old);
    return STOA_OK;
}

size_t
stoa__name_count(void)
{
    size_t count = 0;
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        stoa_name_table *shard = &table()->shards[i].table;
        stoa__lock(&shard->lock);
        count += shard->count;
        stoa__unlock(&shard->lock);
    }
    return count;
}

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

void
stoa__names_wake_all(void)
{
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        stoa__name_wake(&table()->shards[i]);
    }
}

stoa_err
stoa__name_wait(const char *name, size_t size, const stoa_interp_record *receiver, stoa_deadline deadline,
                stoa_value *out)
{
    stoa_err err = stoa__name_check(name, size);
    if (err != STOA_OK) {
        return err;
    }
    stoa_name_key key = stoa__name_key(name, size);
    stoa_name_shard *shard = stoa__name_shard_of(&key);
    stoa_err slept = STOA_OK;
    STOA_COUNT(&stoa__process->counters, lookups);
    for (;;) {
        uint32_t event = stoa__name_start_wait(shard);
        if (stoa__name_find(shard, &key, receiver, out, &err)) {
            slept = err;
            break;
        }
        if (slept == STOA_OK) {
            slept = stoa__name_sleep(shard, event, &key, receiver, deadline);
        }
        else if (slept == STOA_ETIMEDOUT) { /* and a last look has found nothing */
            stoa_shown_name shown;
            stoa__fail(slept, "nothing was published under the name '%s' in time",
                       stoa__name_show(name, size, &shown));
            break;
        }
        if (slept != STOA_OK && slept != STOA_ETIMEDOUT) {
            break;
        }
        stoa__name_end_wait(shard);
    }
    stoa__name_end_wait(shard);
    return slept;
}

/* ---- each --------------------------------------------------------------------------------------------------------- */

typedef struct listed_name {
    stoa_value value;
    size_t size;
    char text[];
} listed_name;

typedef struct name_list {
    listed_name **at;
    size_t count, capacity;
} name_list;

static bool
list_name(const char *text, size_t size, const stoa_value *value, void *arg)
{
    name_list *list = arg;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        listed_name **at = realloc(list->at, capacity * sizeof *at);
        if (at == NULL) {
            return false;
        }
        list->at = at;
        list->capacity = capacity;
    }
    listed_name *one = malloc(sizeof *one + size);
    if (one == NULL) {
        return false;
    }
    one->value = *value;
    one->size = size;
    memcpy(one->text, text, size);
    list->at[list->count++] = one;
    return true;
}

static int
by_text(const void *left, const void *right)
{
    const listed_name *a = *(listed_name *const *)left, *b = *(listed_name *const *)right;
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

stoa_err
stoa__name_each(bool (*visit)(const char *name, size_t size, const stoa_value *, void *), void *arg)
{
    name_list list = {NULL, 0, 0};
    bool complete = true;
    for (unsigned i = 0; i < STOA_NAME_SHARDS && complete; i++) {
        stoa_name_table *shard = &table()->shards[i].table;
        stoa__lock(&shard->lock);
        complete = stoa__name_table_each(shard, list_name, &list);
        stoa__unlock(&shard->lock);
    }
    if (complete && list.count != 0) {
        qsort(list.at, list.count, sizeof *list.at, by_text);
        for (size_t i = 0; i < list.count; i++) {
            if (!visit(list.at[i]->text, list.at[i]->size, &list.at[i]->value, arg)) {
                break;
            }
        }
    }
    for (size_t i = 0; i < list.count; i++) {
        free(list.at[i]);
    }
    free(list.at);
    return complete ? STOA_OK : stoa__fail(STOA_ENOMEM, "no memory for the list of names");
}

/* ---- fork --------------------------------------------------------------------------------------------------------- */

void
stoa__names_fork_prepare(stoa_names *names)
{
    stoa__once_fork_prepare(&names->once);
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        stoa__lock_another(&names->shards[i].table.lock);
    }
}

void
stoa__names_fork_parent(stoa_names *names)
{
    for (unsigned i = STOA_NAME_SHARDS; i-- > 0;) {
        stoa__unlock(&names->shards[i].table.lock);
    }
    stoa__once_fork_parent(&names->once);
}

void
stoa__names_fork_child(stoa_names *names)
{
    for (unsigned i = 0; i < STOA_NAME_SHARDS; i++) {
        stoa__lock_reset(&names->shards[i].table.lock);
        atomic_store(&names->shards[i].waiters, 0);
    }
    stoa__once_fork_child(&names->once);
}
