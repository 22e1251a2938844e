#include "heap/held.h"

#include "heap/error.h"
#include "heap/memory.h"

#include <string.h>

#define FIRST_ROOM 6

stoa_err
stoa__held_add(stoa_held **held, stoa_handle handle)
{
    stoa_held *list = *held;
    if (list == NULL || list->count == list->room) {
        size_t room = list == NULL ? FIRST_ROOM : 2 * list->room;
        stoa_held *more = stoa__alloc(sizeof(*more) + room * sizeof(stoa_handle));
        if (more == NULL) {
            stoa__handle_unref(handle);
            return stoa__fail(STOA_ENOMEM, "no memory to note what a frozen object holds");
        }
        if (list != NULL) {
            memcpy(more, list, sizeof(*list) + list->count * sizeof(stoa_handle));
        }
        more->room = room;
        stoa__free(list);
        *held = list = more;
    }
    list->handles[list->count++] = handle;
    return STOA_OK;
}

void
stoa__held_release(stoa_held *held)
{
    for (stoa_held *list = held; list != NULL; list = list->next) {
        for (size_t i = 0; i < list->count; i++) {
            stoa__handle_unref(list->handles[i]);
        }
    }
    stoa__held_forget(held);
}

void
stoa__held_forget(stoa_held *held)
{
    while (held != NULL) {
        stoa_held *next = held->next;
        stoa__free(held);
        held = next;
    }
}
