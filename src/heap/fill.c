#include "heap/fill.h"

#include "heap/os.h"
#include "heap/process_struct.h"

#include <stdint.h>
#include <string.h>

#define KERNEL_WORTH ((size_t)256 << 10) /* below, preparing the kernel for it costs more than it saves */
#define PREPARE_WORTH ((size_t)64 << 10) /* below, faulting the pages in one by one is no dearer */

/* From `target`: to the next boundary of pieces, or to the end. */
static size_t
piece_at(const char *target, size_t left)
{
    size_t piece = STOA_FILL_PIECE - ((uintptr_t)target & (STOA_FILL_PIECE - 1));
    return piece < left ? piece : left;
}

static void
prepare_piece(char *target, size_t size)
{
    stoa_space *space = &stoa__process->space;
    size_t page = stoa__os_page_size();
    char *start = (char *)((uintptr_t)target & ~(page - 1));
    size_t whole = ((size_t)(target - start) + size + page - 1) & ~(page - 1);
    if (whole < PREPARE_WORTH || space->scarce) { /* scarce: they were asked for when the object was laid down */
        return;
    }
    /* failing is no harm: the pages then come by faults */
    (void)stoa__pages_prepare(&space->pages, stoa__rw(start), start, whole, whole, whole == STOA_FILL_PIECE);
}

void
stoa__fill_prepare(void *target, size_t size)
{
    char *to = target;
    for (size_t piece; size != 0; to += piece, size -= piece) {
        piece = piece_at(to, size);
        prepare_piece(to, piece);
    }
}

static void
fill_by_hand(char *target, const char *source, size_t size)
{
    prepare_piece(target, size);
    memcpy(stoa__rw(target), source, size);
}

/* Whole pages, a piece at a time, each in the way that is cheaper here and now. */
static void
fill_pages(char *target, const char *source, size_t size)
{
    stoa_pages *pages = &stoa__process->space.pages;
    int filler = stoa__process->space.scarce || size < KERNEL_WORTH ? -1 : stoa__os_filler_open();
    for (size_t done = 0, piece; done < size; done += piece) {
        piece = piece_at(target + done, size - done);
        bool by_kernel = filler >= 0 && piece >= KERNEL_WORTH && stoa__pages_fill_by_kernel(pages);
        int64_t start = stoa__os_thread_time();
        size_t copied = 0;
        if (by_kernel) {
            copied = stoa__os_fill_pages(filler, stoa__rw(target + done), source + done, piece);
        }
        if (copied < piece) {
            fill_by_hand(target + done + copied, source + done + copied, piece - copied);
        }
        if (piece >= KERNEL_WORTH) {
            stoa__pages_filled(pages, by_kernel, stoa__os_thread_time() - start, piece);
        }
    }
    stoa__os_filler_close(filler);
}

void
stoa__fill(void *target, const void *source, size_t size)
{
    char *to = target;
    const char *from = source;
    size_t page = stoa__os_page_size();
    size_t head = (size_t)(-(uintptr_t)target & (page - 1));
    head = head < size ? head : size;
    size_t whole = (size - head) & ~(page - 1);
    fill_by_hand(to, from, head);
    fill_pages(to + head, from + head, whole);
    fill_by_hand(to + head + whole, from + head + whole, size - head - whole);
}
