#define _GNU_SOURCE
#include "index.h"

#include "words.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_size_t unusable, bytes_done; /* of all threads, for the progress */

/* ---- parts: what one thread makes of its files ---- */

typedef struct part {
    pthread_t thread;
    const file_list *files;
    size_t first, end; /* which of the files */
    word_table words;
    const stoa_object **records; /* (name, data, line_starts, line_words) each */
    numbers bases;
    size_t record_count, word_count;
} part;

static const stoa_object *
make_numbers(stoa_builder *builder, const numbers *all)
{
    const stoa_object *object;
    check(stoa_make_bytes(builder, all->items, all->count * sizeof(uint32_t), &object), "numbers");
    return object;
}

/* One file: read, index, and its record made in the shared heap. */
static void
index_file(part *mine, stoa_builder *builder, const text_file *file)
{
    char *data = read_file(file);
    const stoa_object *items[4];
    if (data == NULL || stoa_make_text(builder, file->name, strlen(file->name), &items[0]) != STOA_OK) {
        atomic_fetch_add(&unusable, 1);
    }
    else {
        numbers line_starts = {0}, line_words = {0};
        mine->word_count += index_text(&mine->words, file, data, &line_starts, &line_words);
        check(stoa_make_bytes(builder, data, file->size, &items[1]), file->path);
        items[2] = make_numbers(builder, &line_starts);
        items[3] = make_numbers(builder, &line_words);
        check(stoa_make_tuple(builder, items, 4, &mine->records[mine->record_count++]), file->path);
        numbers_add(&mine->bases, file->base);
        free(line_starts.items);
        free(line_words.items);
    }
    free(data);
    atomic_fetch_add(&bytes_done, file->size);
}

/* A thread that Python has never seen: it holds no GIL and enters no interpreter. */
static void *
build_part(void *arg)
{
    part *mine = arg;
    stoa_builder *builder;
    check(stoa_builder_new(NULL, 0, &builder), "builder");
    mine->records = calloc(mine->end - mine->first + 1, sizeof(*mine->records));
    for (size_t i = mine->first; i < mine->end; i++) {
        index_file(mine, builder, &mine->files->items[i]);
    }
    table_sort(&mine->words);
    for (size_t i = 0; i < mine->words.count; i++) {
        word *each = &mine->words.items[i];
        check(stoa_make_text(builder, each->text, each->size, &each->key), each->text);
        each->value = make_numbers(builder, &each->places);
    }
    /* from here on the objects are visible to every thread and interpreter */
    check(stoa_builder_finish(builder, NULL), "finish");
    stoa_builder_free(builder);
    return NULL;
}

/* ---- the whole ---- */

typedef struct merged {
    const stoa_object **keys, **values;
    uint64_t *totals;
    size_t count;
} merged;

/* The parts' sorted words side by side: each word once, with the numbers of every part that has it. */
static void
merge_words(stoa_builder *builder, part *parts, size_t part_count, merged *all)
{
    size_t at[MAX_THREADS] = {0}, most = 0;
    for (size_t p = 0; p < part_count; p++) {
        most += parts[p].words.count;
    }
    all->keys = calloc(most + 1, sizeof(*all->keys));
    all->values = calloc(most + 1, sizeof(*all->values));
    all->totals = calloc(most + 1, sizeof(*all->totals));
    for (;;) {
        const word *least = NULL;
        for (size_t p = 0; p < part_count; p++) {
            const word *next = &parts[p].words.items[at[p]];
            if (at[p] < parts[p].words.count && (least == NULL || word_order(next, least) < 0)) {
                least = next;
            }
        }
        if (least == NULL) {
            return;
        }
        const stoa_object *pieces[MAX_THREADS];
        size_t count = 0;
        all->totals[all->count + 1] = all->totals[all->count];
        for (size_t p = 0; p < part_count; p++) {
            const word *next = &parts[p].words.items[at[p]];
            if (at[p] < parts[p].words.count && word_order(next, least) == 0) {
                pieces[count++] = next->value;
                all->totals[all->count + 1] += next->places.count;
                at[p]++;
            }
        }
        all->keys[all->count] = least->key;
        all->values[all->count] = pieces[0];
        if (count > 1) {
            check(stoa_make_tuple(builder, pieces, count, &all->values[all->count]), least->text);
        }
        all->count++;
    }
}

/* The whole index, made as a parser would: containers are opened, filled, closed. */
static const stoa_object *
make_index(part *parts, size_t part_count, const char *root)
{
    stoa_builder *b;
    const stoa_object *postings, *terms, *index;
    merged all = {0};
    size_t word_count = 0;
    check(stoa_builder_new(NULL, 0, &b), "builder");
    merge_words(b, parts, part_count, &all);
    check(stoa_make_mapping(b, all.keys, all.values, all.count, &postings), "postings");
    check(stoa_make_tuple(b, all.keys, all.count, &terms), "terms");

    check(stoa_begin_mapping(b), "index");
    check(stoa_push_text(b, "root", 4), "root");
    check(stoa_push_text(b, root, strlen(root)), "root");
    check(stoa_push_text(b, "files", 5), "files");
    check(stoa_begin_tuple(b), "files");
    numbers bases = {0};
    for (size_t p = 0; p < part_count; p++) {
        for (size_t i = 0; i < parts[p].record_count; i++) {
            check(stoa_push_object(b, parts[p].records[i]), "files");
            numbers_add(&bases, parts[p].bases.items[i]);
        }
        word_count += parts[p].word_count;
    }
    check(stoa_end(b), "files");
    check(stoa_push_text(b, "file_bases", 10), "file_bases");
    check(stoa_push_bytes(b, bases.items, bases.count * sizeof(uint32_t)), "file_bases");
    check(stoa_push_text(b, "terms", 5), "terms");
    check(stoa_push_object(b, terms), "terms");
    check(stoa_push_text(b, "totals", 6), "totals");
    check(stoa_push_bytes(b, all.totals, (all.count + 1) * sizeof(uint64_t)), "totals");
    check(stoa_push_text(b, "postings", 8), "postings");
    check(stoa_push_object(b, postings), "postings");
    check(stoa_push_text(b, "words", 5), "words");
    check(stoa_push_uint64(b, word_count), "words");
    check(stoa_end(b), "index");
    check(stoa_builder_finish(b, &index), "finish");
    stoa_builder_free(b);
    printf("  %zu files, %zu words, %zu different\n", bases.count, word_count, all.count);
    free(bases.items);
    free(all.keys);
    free(all.values);
    free(all.totals);
    return index;
}

/* Starts the threads, each with a run of files of about equal size, and merges what they made. */
const stoa_object *
build_index(const file_list *files, size_t threads, const char *root)
{
    part *parts = calloc(threads, sizeof(part));
    double begin = now();
    size_t file = 0, seen = 0;
    for (size_t p = 0; p < threads; p++) {
        parts[p].files = files;
        parts[p].first = file;
        while (file < files->count && seen < files->bytes / threads * (p + 1)) {
            seen += files->items[file++].size;
        }
        parts[p].end = p + 1 == threads ? files->count : file;
        if (pthread_create(&parts[p].thread, NULL, build_part, &parts[p]) != 0) {
            die("thread");
        }
    }
    for (size_t done = 0; done < files->bytes; usleep(50000)) {
        done = atomic_load(&bytes_done);
        printf("\r  %zu threads: %3zu %%", threads, files->bytes ? 100 * done / files->bytes : 100);
        fflush(stdout);
    }
    for (size_t p = 0; p < threads; p++) {
        pthread_join(parts[p].thread, NULL);
    }
    double built = now();
    printf(" in %.2f s, %zu files skipped\n", built - begin, files->skipped + atomic_load(&unusable));
    const stoa_object *index = make_index(parts, threads, root);
    printf("  merged in %.2f s\n", now() - built);
    for (size_t p = 0; p < threads; p++) {
        table_clear(&parts[p].words);
        free(parts[p].records);
        free(parts[p].bases.items);
    }
    free(parts);
    return index;
}
