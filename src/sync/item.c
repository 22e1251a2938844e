#include "sync/item.h"

#include <stddef.h>
#include <string.h>

#include "heap/memory.h"

static void
drop_text(stoa_box *box)
{
    stoa__free(box);
}

static bool
is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

bool
stoa__item_text(bool is_text, const char *text, size_t size, stoa_item *out)
{
    if (size <= STOA_ITEM_TEXT && (!is_text || is_ascii(text, size))) {
        out->kind = is_text ? STOA_ITEM_ASCII : STOA_ITEM_BYTES;
        out->size = (uint8_t)size;
        if (size > 0) {
            memcpy(out->as.text, text, size);
        }
        return true;
    }
    stoa_text_box *box = size > SIZE_MAX / 2 ? NULL : stoa__alloc(offsetof(stoa_text_box, text) + size);
    if (box == NULL) {
        return false;
    }
    box->box.drop = drop_text;
    box->size = size;
    memcpy(box->text, text, size);
    out->kind = is_text ? STOA_ITEM_LONG_TEXT : STOA_ITEM_LONG_BYTES;
    out->as.box = &box->box;
    return true;
}

void
stoa__item_drop(stoa_item *item)
{
    uint32_t kind = item->kind;
    item->kind = STOA_ITEM_NOTHING;
    if (kind == STOA_ITEM_HANDLE) {
        stoa__handle_unref(item->as.handle);
    }
    else if (kind == STOA_ITEM_BOX || kind == STOA_ITEM_LONG_TEXT || kind == STOA_ITEM_LONG_BYTES) {
        item->as.box->drop(item->as.box);
    }
    else if (kind == STOA_ITEM_OBJECT && item->as.object.region != NULL) {
        stoa__region_unref(item->as.object.region);
    }
}
