#include "words.h"

#include <stdlib.h>
#include <string.h>

static void
table_rehash(word_table *table)
{
    size_t size = table->mask ? 2 * (table->mask + 1) : 1024;
    free(table->slots);
    table->slots = calloc(size, sizeof(uint32_t));
    if (table->slots == NULL) {
        die("memory");
    }
    table->mask = size - 1;
    for (size_t i = 0; i < table->count; i++) {
        size_t slot = table->items[i].hash & table->mask;
        while (table->slots[slot] != 0) {
            slot = (slot + 1) & table->mask;
        }
        table->slots[slot] = (uint32_t)i + 1;
    }
}

static void
table_add(word_table *table, const char *text, size_t size, uint64_t hash, size_t place)
{
    if (2 * table->count >= table->mask) {
        table_rehash(table);
    }
    size_t slot = hash & table->mask;
    for (; table->slots[slot] != 0; slot = (slot + 1) & table->mask) {
        word *known = &table->items[table->slots[slot] - 1];
        if (known->hash == hash && known->size == size && memcmp(known->text, text, size) == 0) {
            numbers_add(&known->places, place);
            return;
        }
    }
    if (table->count == table->room) {
        table->items = grow(table->items, &table->room, sizeof(word));
    }
    word *added = &table->items[table->count++];
    *added = (word){.text = memcpy(malloc(size + 1), text, size), .size = size, .hash = hash};
    numbers_add(&added->places, place);
    table->slots[slot] = (uint32_t)table->count;
}

int
word_order(const word *one, const word *two)
{
    size_t shorter = one->size < two->size ? one->size : two->size;
    int order = memcmp(one->text, two->text, shorter);
    return order != 0 ? order : (one->size > two->size) - (one->size < two->size);
}

static int
by_text(const void *a, const void *b)
{
    return word_order(a, b);
}

void
table_sort(word_table *table)
{
    if (table->count > 0) {
        qsort(table->items, table->count, sizeof(word), by_text);
    }
}

void
table_clear(word_table *gone)
{
    for (size_t i = 0; i < gone->count; i++) {
        free((char *)gone->items[i].text);
        free(gone->items[i].places.items);
    }
    free(gone->items);
    free(gone->slots);
}

static bool
is_word(unsigned char c)
{
    return c >= 0x80 || c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

size_t
index_text(word_table *words, const text_file *file, const char *data, numbers *line_starts, numbers *line_words)
{
    char lower[256];
    size_t place = file->base;
    numbers_add(line_starts, 0);
    numbers_add(line_words, place);
    for (size_t i = 0; i < file->size;) {
        uint64_t hash = 0xcbf29ce484222325;
        size_t start = i, kept = 0;
        for (; i < file->size && is_word((unsigned char)data[i]); i++) {
            unsigned char c = (unsigned char)data[i];
            c |= c >= 'A' && c <= 'Z' ? 32 : 0;
            if (kept < sizeof(lower)) {
                lower[kept++] = (char)c;
            }
            hash = (hash ^ c) * 0x100000001b3;
        }
        if (i > start) {
            if (i - start <= sizeof(lower)) { /* longer ones are no words that anybody looks for */
                table_add(words, lower, kept, hash ^ hash >> 29, place);
            }
            place++;
        }
        else if (data[i++] == '\n') {
            numbers_add(line_starts, i);
            numbers_add(line_words, place);
        }
    }
    numbers_add(line_starts, file->size + 1);
    return place - file->base;
}
