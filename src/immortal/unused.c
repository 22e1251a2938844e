#include "immortal/unused.h"

#include <string.h>

#include "heap/os_memory.h"
#include "immortal/cpython/arenas.h"
#include "immortal/table.h"

#define ALIGNMENT ((size_t)16)
#define LARGEST ((size_t)512) /* that the allocator takes from its pools */
/* Empty pools are taken in blocks of this size: a pool of 16 KiB has room for 1021 times 16 bytes, and 34 such blocks leave no
 * more than 16 of it, which only blocks of 16 bytes ever reach. Of 512 there would be 464 left, with what was in it. */
#define FILLING ((size_t)480)
#define PATTERN 0x51

/* Does what was in a block stay in it when it is freed? Not with the allocators that check, which overwrite it
 * themselves, and not surely with others. */
static bool
leaves_content(void)
{
    unsigned char *block = PyObject_Malloc(64), after[32];
    const char *place = (const char *)block;
    if (block == NULL) {
        return false;
    }
    memset(block, PATTERN, 64);
    PyObject_Free(block);
    bool same = stoa__os_copy(after, place + 32, sizeof(after)) == sizeof(after);
    for (size_t i = 0; i < sizeof(after); i++) {
        same = same && after[i] == PATTERN;
    }
    return same;
}

/* Takes all free blocks of a size, wipes them, and links them into *list. `budget`: what the process has in all. */
static void
take_blocks(size_t size, void **list, size_t *budget)
{
    bool more = true;
    while (more && *budget >= size) {
        void *block = PyObject_Malloc(size);
        if (block == NULL) {
            return;
        }
        memset(block, 0, size);
        *(void **)block = *list;
        *list = block;
        *budget -= size;
        more = !stoa__arenas_refused();
    }
}

void
stoa__wipe_free_blocks(void)
{
    PyMemAllocatorEx raw, object;
    PyMem_GetAllocator(PYMEM_DOMAIN_RAW, &raw);
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &object);
    if (raw.malloc == object.malloc || !leaves_content()) {
        return; /* malloc() itself, or a checking one */
    }
    size_t budget = stoa__os_resident();
    void *list = NULL;
    stoa__arenas_refuse(true);
    take_blocks(FILLING, &list, &budget);
    for (size_t size = LARGEST; size >= ALIGNMENT; size -= ALIGNMENT) {
        take_blocks(size, &list, &budget);
    }
    stoa__arenas_refuse(false);
    while (list != NULL) {
        void *next = *(void **)list;
        PyObject_Free(list);
        list = next;
    }
}

void
stoa__give_up_unused(void)
{
    PyObject *raised = PyErr_GetRaisedException();
    stoa__table_tidy();
    int enabled = PyGC_Enable(); /* else nothing is collected */
    (void)PyGC_Collect();
    if (!enabled) {
        (void)PyGC_Disable();
    }
    PyErr_Clear();
    stoa__table_tidy(); /* what only garbage held */
    PyType_ClearCache();
    Py_XDECREF(PySlice_New(NULL, NULL, NULL)); /* the one that 3.12 and 3.13 keep for next time */
    PyErr_Clear();
    stoa__wipe_free_blocks();
    PyErr_SetRaisedException(raised);
}
