#define _GNU_SOURCE
#include "stl.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 84      /* 80 bytes of anything, and the number of triangles */
#define RECORD 50    /* a normal and three vertices, twelve floats; two bytes of anything */
#define AT_ONCE 1024 /* records: they stay in the cache */
#define MOST 1e18f   /* a coordinate: squares of distances are numbers still */

#define FAIL(...) (snprintf(why, why_size, __VA_ARGS__), false)

/* ---- text -------------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *at, *end;
    size_t line;
} reader;

/* Lines end with "\n", "\r\n" or, as long ago, "\r". */
static bool
ends_line(const reader *r)
{
    return *r->at == '\n' || (*r->at == '\r' && (r->at + 1 == r->end || r->at[1] != '\n'));
}

/* The next word, cut off at 63 characters; empty at the end. */
static void
next_word(reader *r, char word[64])
{
    size_t size = 0;
    for (; r->at < r->end && isspace((unsigned char)*r->at); r->at++) {
        r->line += ends_line(r);
    }
    for (; r->at < r->end && !isspace((unsigned char)*r->at); r->at++) {
        if (size < 63) {
            word[size++] = *r->at;
        }
    }
    word[size] = '\0';
}

static bool
expect(reader *r, const char *wanted, char *why, size_t why_size)
{
    char word[64];
    next_word(r, word);
    if (word[0] == '\0') {
        return FAIL("the file ends on line %zu, where \"%s\" has to be: it was cut off", r->line, wanted);
    }
    return strcasecmp(word, wanted) == 0 ||
           FAIL("line %zu: \"%s\" where \"%s\" has to be", r->line, word, wanted);
}

static bool
read_number(reader *r, float *out, char *why, size_t why_size)
{
    char word[64], *end;
    next_word(r, word);
    *out = strtof(word, &end);
    return (end != word && *end == '\0' && strlen(word) < 63 && fabsf(*out) <= MOST) ||
           FAIL("line %zu: \"%s\" is no coordinate", r->line, word);
}

static bool
read_facet(reader *r, float *nine, char *why, size_t why_size)
{
    float normal;
    if (!expect(r, "normal", why, why_size)) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        char word[64];
        next_word(r, word); /* some writers leave nan here: it is not used */
        normal = strtof(word, NULL);
        (void)normal;
    }
    if (!expect(r, "outer", why, why_size) || !expect(r, "loop", why, why_size)) {
        return false;
    }
    for (int i = 0; i < 9; i++) {
        if ((i % 3 == 0 && !expect(r, "vertex", why, why_size)) || !read_number(r, &nine[i], why, why_size)) {
            return false;
        }
    }
    return expect(r, "endloop", why, why_size) && expect(r, "endfacet", why, why_size);
}

/* Where the text begins: behind a mark of its encoding, and white space. */
static const char *
text_of(const stl_file *file)
{
    const char *at = file->bytes, *end = file->bytes + file->size;
    at += file->size >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < end && isspace((unsigned char)*at)) {
        at++;
    }
    return at;
}

static void
skip_line(reader *r)
{
    while (r->at < r->end && !ends_line(r)) {
        r->at++;
    }
}

/* The facets of one solid, up to the name that is behind its end. */
static bool
read_solid(reader *r, float *target, size_t *count, char *why, size_t why_size)
{
    char word[64];
    float nine[9];
    skip_line(r); /* "solid", and a name of any words */
    for (;; ++*count) {
        next_word(r, word);
        if (strcasecmp(word, "endsolid") == 0) {
            skip_line(r);
            return true;
        }
        if (strcasecmp(word, "facet") != 0) {
            return word[0] == '\0'
                       ? FAIL("the file ends on line %zu without \"endsolid\": it was cut off", r->line)
                       : FAIL("line %zu: \"%s\" where \"facet\" has to be", r->line, word);
        }
        if (!read_facet(r, target != NULL ? target + 9 * *count : nine, why, why_size)) {
            return false;
        }
    }
}

/* Goes through the text, of one solid or several; `target` NULL: only counts. */
static bool
read_text(const stl_file *file, float *target, size_t *count, char *why, size_t why_size)
{
    reader r = {file->bytes, file->bytes + file->size, 1};
    for (const char *text = text_of(file); r.at < text; r.at++) {
        r.line += ends_line(&r);
    }
    *count = 0;
    for (;;) {
        char word[64];
        if (!read_solid(&r, target, count, why, why_size)) {
            return false;
        }
        next_word(&r, word);
        if (strcasecmp(word, "solid") != 0) {
            return word[0] == '\0' || FAIL("line %zu: \"%s\" behind the last \"endsolid\"", r.line, word);
        }
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool
check(stl_file *file, char *why, size_t why_size)
{
    uint32_t count = 0;
    if (file->size >= HEAD) {
        memcpy(&count, file->bytes + 80, sizeof(count));
        if (file->size == HEAD + (size_t)count * RECORD) {
            file->triangles = count;
            return count != 0 || FAIL("it has no triangles");
        }
    }
    const char *text = text_of(file);
    bool solid = file->bytes + file->size - text >= 5 && strncasecmp(text, "solid", 5) == 0;
    /* a binary one may begin with that word, too, but no text has zeros there */
    if (solid && memchr(file->bytes, '\0', file->size < HEAD ? file->size : HEAD) == NULL) {
        file->ascii = true;
        return read_text(file, NULL, &file->triangles, why, why_size) &&
               (file->triangles != 0 || FAIL("it has no triangles"));
    }
    if (file->size < HEAD) {
        return FAIL(
            "%zu bytes are no STL file: text begins with \"solid\", a binary one has at least %d bytes",
            file->size, HEAD);
    }
    size_t wanted = HEAD + (size_t)count * RECORD;
    return FAIL(
        "it says that it has %u triangles, which take %zu bytes, but it has %zu: it %s, or is no STL file",
        (unsigned)count, wanted, file->size, file->size < wanted ? "was cut off" : "has something behind them");
}

static bool
map(stl_file *file, char *why, size_t why_size)
{
    void *bytes = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (bytes == MAP_FAILED) {
        return FAIL("it cannot be mapped: %s", strerror(errno));
    }
    file->bytes = bytes;
    return true;
}

static void
unmap(stl_file *file)
{
    if (file->bytes != NULL) {
        munmap((void *)(uintptr_t)file->bytes, file->size);
        file->bytes = NULL;
    }
}

bool
stl_open(const char *path, stl_file *out, char *why, size_t why_size)
{
    struct stat status; /* O_NONBLOCK: not to wait for who writes to a pipe, which is no file anyway */
    *out = (stl_file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (out->fd < 0 || fstat(out->fd, &status) != 0) {
        snprintf(why, why_size, "%s", strerror(errno));
        stl_close(out);
        return false;
    }
    out->size = (size_t)status.st_size;
    bool good = !S_ISREG(status.st_mode) ? FAIL("it is no file")
                : out->size == 0         ? FAIL("it is empty")
                                         : map(out, why, why_size) && check(out, why, why_size);
    if (!good) {
        stl_close(out);
    }
    else if (!out->ascii) {
        unmap(out);
    }
    return good;
}

void
stl_close(stl_file *file)
{
    unmap(file);
    if (file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
}

/* Records [from, to) as they stand in the file. */
static bool
read_records(const stl_file *file, size_t from, size_t to, char *target, char *why, size_t why_size)
{
    off_t at = (off_t)(HEAD + from * RECORD);
    for (size_t left = (to - from) * RECORD; left != 0;) {
        ssize_t n = pread(file->fd, target, left, at);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return n == 0 ? FAIL("it was cut off while it was read") : FAIL("%s", strerror(errno));
        }
        at += n > 0 ? n : 0;
        target += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool
stl_read(const stl_file *file, size_t from, size_t to, float *target, char *why, size_t why_size)
{
    char records[AT_ONCE * RECORD];
    if (file->ascii) {
        size_t count;
        return read_text(file, target, &count, why, why_size);
    }
    for (size_t end; from < to; from = end) {
        bool sound = true;
        end = to - from < AT_ONCE ? to : from + AT_ONCE;
        if (!read_records(file, from, end, records, why, why_size)) {
            return false;
        }
        for (size_t i = 0; i < end - from; i++, target += 9) {
            memcpy(target, records + i * RECORD + 12, 9 * sizeof(float));
            for (int k = 0; k < 9; k++) {
                sound &= fabsf(target[k]) <= MOST; /* not so of NaN */
            }
            if (!sound) {
                return FAIL("triangle %zu has a coordinate that is no finite number, or beyond 1e18", from + i);
            }
        }
    }
    return true;
}

/* ---- a surface to read ------------------------------------------------------------------------------------------- */

/* A point of ring `ring`: u around the axis, v around the tube; both in [0, 1). */
static void
ring_point(int ring, double u, double v, float *out)
{
    double a = 2 * M_PI * u, b = 2 * M_PI * v;
    double wave = 1 + 0.12 * sin((5 + ring) * a) * cos(3 * b) + 0.05 * sin(23 * a + 7 * b);
    double tube = 9 * wave, radius = 21 + 3 * sin((3 + ring % 4) * a);
    double x = (radius + tube * cos(b)) * cos(a), z = tube * sin(b), y = (radius + tube * cos(b)) * sin(a);
    double tilt = 0.15 * (ring + 1);
    out[0] = (float)(70.0 * (ring % 3) + x);
    out[1] = (float)(70.0 * (ring / 3) + y * cos(tilt) - z * sin(tilt));
    out[2] = (float)(60 + y * sin(tilt) + z * cos(tilt));
}

static bool
write_ring(FILE *out, int ring, size_t around, size_t tube, float *points)
{
    for (size_t i = 0; i < around; i++) {
        for (size_t j = 0; j < tube; j++) {
            ring_point(ring, (double)i / (double)around, (double)j / (double)tube, points + 3 * (i * tube + j));
        }
    }
    for (size_t i = 0; i < around; i++) {
        for (size_t j = 0; j < tube; j++) {
            const float *corners[4] = {points + 3 * (i * tube + j), points + 3 * ((i + 1) % around * tube + j),
                                       points + 3 * ((i + 1) % around * tube + (j + 1) % tube),
                                       points + 3 * (i * tube + (j + 1) % tube)};
            char records[2 * RECORD] = {0};
            for (int t = 0; t < 2; t++) {
                for (int k = 0; k < 3; k++) {
                    memcpy(records + t * RECORD + 12 + 12 * k, corners[k == 0 ? 0 : k + t], 12);
                }
            }
            if (fwrite(records, sizeof(records), 1, out) != 1) {
                return false;
            }
        }
    }
    return true;
}

bool
stl_generate(const char *path, size_t triangles, char *why, size_t why_size)
{
    size_t tube = (size_t)sqrt((double)triangles / 18 / 2.5);
    tube = tube < 8 ? 8 : tube;
    size_t around = triangles / 18 / tube;
    around = around < 8 ? 8 : around;
    uint32_t count = (uint32_t)(18 * around * tube);
    char head[HEAD] = "nine rings";
    memcpy(head + 80, &count, sizeof(count));
    FILE *out = fopen(path, "wb");
    float *points = malloc(around * tube * 3 * sizeof(float));
    bool good = out != NULL && points != NULL && fwrite(head, sizeof(head), 1, out) == 1;
    for (int ring = 0; ring < 9 && good; ring++) {
        good = write_ring(out, ring, around, tube, points);
    }
    good = (out == NULL || fclose(out) == 0) && good;
    free(points);
    return good || FAIL("%s", strerror(errno));
}
