#include "sync/item.h"

void
stoa__item_drop(stoa_item *item)
{
    uint32_t kind = item->kind;
    item->kind = STOA_ITEM_NOTHING;
    if (kind == STOA_ITEM_HANDLE) {
        stoa__handle_unref(item->as.handle);
    }
    else if (kind == STOA_ITEM_BOX) {
        item->as.box->drop(item->as.box);
    }
    else if (kind == STOA_ITEM_OBJECT && item->as.object.region != NULL) {
        stoa__region_unref(item->as.object.region);
    }
}
