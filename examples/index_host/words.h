/* A hash table from word to the numbers of its places, and the tokeniser that fills it. */
#ifndef INDEX_HOST_WORDS_H
#define INDEX_HOST_WORDS_H

#include "files.h"
#include "support.h"

#include <stdint.h>

typedef struct word {
    const char *text; /* in lower case, owned */
    size_t size;
    uint64_t hash;
    numbers places;
    const stoa_object *key, *value; /* once frozen: str, bytes */
} word;

typedef struct word_table {
    word *items;
    size_t count, room;
    uint32_t *slots; /* index + 1 into items, 0: free; a power of two of them, at most half full */
    size_t mask;
} word_table;

/* Enters the words of a file's text, numbered from its base; fills the line tables: for each line the offset of its first
 * byte (and one past the end, at last), and the number of the first word not before it. Returns how many words. */
size_t index_text(word_table *words, const text_file *file, const char *data, numbers *line_starts,
                  numbers *line_words);

/* Puts the words in order; nothing can be added any more. */
void table_sort(word_table *table);
/* Order of UTF-8 bytes is order of code points, as Python sorts str. */
int word_order(const word *one, const word *two);
void table_clear(word_table *gone);

#endif
