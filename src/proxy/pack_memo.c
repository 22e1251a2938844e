#include "proxy/pack_memo.h"

#include <stdlib.h>

static stoa_pack_slot *
find_slot(stoa_pack_slot *slots, size_t room, PyObject *object)
{
    for (size_t i = ((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15u >> 20;; i++) {
        stoa_pack_slot *slot = &slots[i & (room - 1)];
        if (slot->object == NULL || slot->object == object) {
            return slot;
        }
    }
}

static int
grow(stoa_pack_memo *memo)
{
    size_t room = memo->room == 0 ? 16 : memo->room * 2;
    stoa_pack_slot *slots = calloc(room, sizeof(*slots));
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < memo->room; i++) {
        if (memo->slots[i].object != NULL) {
            *find_slot(slots, room, memo->slots[i].object) = memo->slots[i];
        }
    }
    free(memo->slots);
    memo->slots = slots;
    memo->room = room;
    return 0;
}

stoa_pack_slot *
stoa__pack_memo_slot(stoa_pack_memo *memo, PyObject *object, bool *fresh)
{
    if ((memo->used + 1) * 2 > memo->room && grow(memo) < 0) {
        return NULL;
    }
    stoa_pack_slot *slot = find_slot(memo->slots, memo->room, object);
    *fresh = slot->object == NULL;
    if (*fresh) {
        *slot = (stoa_pack_slot){Py_NewRef(object), STOA_PACK_BEING_MADE};
        memo->used++;
    }
    return slot;
}

stoa_pack_slot *
stoa__pack_memo_known(const stoa_pack_memo *memo, PyObject *object)
{
    return find_slot(memo->slots, memo->room, object);
}

void
stoa__pack_memo_free(stoa_pack_memo *memo)
{
    for (size_t i = 0; i < memo->room; i++) {
        Py_XDECREF(memo->slots[i].object);
    }
    free(memo->slots);
    *memo = (stoa_pack_memo){0};
}
