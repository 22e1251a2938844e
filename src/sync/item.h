/* An item: what lies in a queue, between the interpreter that put it and the one that will get it.
 *
 * It belongs to neither, so it holds no reference that needs a GIL. Small values are in it; a shared object is its pointer;
 * what lives in an interpreter or in the process is a handle; everything else is a box, a block that the layer above
 * fills and frees. 32 bytes, moved by plain copying.
 */
#ifndef STOA_SYNC_ITEM_H
#define STOA_SYNC_ITEM_H

#include "heap/handle.h"
#include "heap/region.h"

#define STOA_ITEM_TEXT 24u

typedef enum stoa_item_kind {
    STOA_ITEM_NOTHING = 0, /* no item */
    STOA_ITEM_OBJECT,      /* a shared object, or one of CPython's own process-wide ones */
    STOA_ITEM_INT,
    STOA_ITEM_FLOAT,
    STOA_ITEM_ASCII,      /* `size` characters */
    STOA_ITEM_BYTES,      /* `size` bytes */
    STOA_ITEM_HANDLE,     /* a reference of it */
    STOA_ITEM_LONG_TEXT,  /* a box that is a stoa_text_box: UTF-8 */
    STOA_ITEM_LONG_BYTES, /* the same: bytes */
    STOA_ITEM_BOX         /* owned */
} stoa_item_kind;

typedef struct stoa_box {
    void (*drop)(struct stoa_box *box); /* const: frees it; any thread, no GIL, no lock of ours held */
} stoa_box;

typedef struct stoa_text_box {
    stoa_box box;
    size_t size;
    char text[]; /* not terminated */
} stoa_text_box;

typedef struct stoa_item {
    uint8_t kind, size;
    uint32_t tag; /* the queue's: which waiting put it came from; 0: from none */
    union {
        struct {
            const void *at;
            stoa_region *region; /* a reference; NULL: of the default region, or of no region */
        } object;
        int64_t integer;
        double real;
        char text[STOA_ITEM_TEXT];
        stoa_handle handle;
        stoa_box *box;
    } as;
} stoa_item;

/* Text (UTF-8, checked by the caller) or bytes as an item. False: no memory. Any thread. */
bool stoa__item_text(bool is_text, const char *text, size_t size, stoa_item *out);
/* Gives up what it holds and makes it NOTHING. Any thread, no lock of ours held. */
void stoa__item_drop(stoa_item *item);

#endif
