#define _GNU_SOURCE
#include "files.h"

#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE ((size_t)16 << 20)

/* nftw's callback has no argument of its own; one thread walks, once. */
static file_list found;
static size_t room, max_bytes, root_size;

static int
visit(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)place;
    if (kind != FTW_F || !S_ISREG(info->st_mode) || (size_t)info->st_size > MAX_FILE) {
        found.skipped += kind != FTW_D;
    }
    else if (found.bytes + (size_t)info->st_size <= max_bytes) {
        if (found.count == room) {
            found.items = grow(found.items, &room, sizeof(text_file));
        }
        text_file *file = &found.items[found.count++];
        *file = (text_file){.path = strdup(path), .size = (size_t)info->st_size};
        if (file->path == NULL) {
            die("memory");
        }
        file->name = file->path + root_size + 1;
        found.bytes += file->size;
    }
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const text_file *)a)->path, ((const text_file *)b)->path);
}

file_list
find_files(const char *root, size_t limit)
{
    root_size = strlen(root);
    max_bytes = limit;
    if (nftw(root, visit, 64, FTW_PHYS) != 0) {
        die(root);
    }
    qsort(found.items, found.count, sizeof(text_file), by_name);
    size_t base = 0;
    for (size_t i = 0; i < found.count; i++) {
        found.items[i].base = base;
        base += found.items[i].size / 2 + 2; /* more numbers than a text of this size has words */
    }
    return found;
}

void
file_list_clear(file_list *gone)
{
    for (size_t i = 0; i < gone->count; i++) {
        free(gone->items[i].path);
    }
    free(gone->items);
}

static bool
is_utf8(const unsigned char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char first = text[i++];
        if (first < 0x80) {
            continue;
        }
        size_t more = first >= 0xc2 && first < 0xe0   ? 1
                      : (first & 0xf0) == 0xe0        ? 2
                      : first >= 0xf0 && first < 0xf5 ? 3
                                                      : 0;
        if (more == 0 || more > size - i) {
            return false;
        }
        uint32_t character = first & (0x3f >> more);
        for (; more > 0 && (text[i] & 0xc0) == 0x80; more--) {
            character = character << 6 | (text[i++] & 0x3f);
        }
        bool overlong = (first == 0xe0 && character < 0x800) || (first == 0xf0 && character < 0x10000);
        if (more > 0 || overlong || (character >> 11) == 0x1b || character > 0x10ffff) {
            return false;
        }
    }
    return true;
}

char *
read_file(const text_file *file)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *data = fd < 0 ? NULL : malloc(file->size + 1);
    size_t have = 0;
    while (data != NULL) {
        ssize_t got = read(fd, data + have, file->size + 1 - have);
        if (got > 0 && (have += (size_t)got) <= file->size) {
            continue;
        }
        if (got != 0 || have != file->size || memchr(data, 0, have) != NULL ||
            !is_utf8((const unsigned char *)data, have)) {
            free(data);
            data = NULL;
        }
        break;
    }
    if (fd >= 0) {
        close(fd);
    }
    return data;
}
