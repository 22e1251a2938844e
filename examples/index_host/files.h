/* Which files are indexed, and reading them. */
#ifndef INDEX_HOST_FILES_H
#define INDEX_HOST_FILES_H

#include <stddef.h>

typedef struct text_file {
    char *path;
    const char *name;  /* within path */
    size_t size, base; /* base: the number of its first word */
} text_file;

typedef struct file_list {
    text_file *items; /* by path */
    size_t count, bytes, skipped;
} file_list;

/* All regular files below `root`, links not followed, until `limit` bytes are reached. */
file_list find_files(const char *root, size_t limit);
void file_list_clear(file_list *gone);

/* The file's bytes, to be freed; NULL: unreadable, binary, not UTF-8, or changed since it was found. */
char *read_file(const text_file *file);

#endif
