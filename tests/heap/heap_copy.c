#include "heap_copy.h"

#include "heap_testing.h"

static const void *
own_process(void)
{
    return stoa__process;
}

static const void *
own_freeze(uint64_t value, size_t size)
{
    return toy_freeze(NULL, value, size);
}

static stoa_err
own_publish(const char *name, const void *object)
{
    stoa_value value = {.kind = STOA_VALUE_OBJECT, .object = object};
    return stoa__name_publish(name, strlen(name), &value);
}

static const void *
own_look_up(const char *name)
{
    stoa_value value;
    return stoa__name_lookup(name, strlen(name), NULL, &value) == STOA_OK ? value.object : NULL;
}

__attribute__((visibility("default"))) const heap_copy *heap_copy_get(void);

const heap_copy *
heap_copy_get(void)
{
    static const heap_copy api = {
        stoa__process_open, stoa_error_message, own_process, own_freeze, own_publish, own_look_up, check_heap,
    };
    return &api;
}
