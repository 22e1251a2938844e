/* STL files, binary and ASCII, read by hand; and one to read: a surface of any number of triangles. */
#ifndef GEOMETRY_STL_H
#define GEOMETRY_STL_H

#include <stdbool.h>
#include <stddef.h>

typedef struct stl_file {
    int fd;
    const char *bytes; /* mapped, as long as it is looked at as a whole: text */
    size_t size;
    size_t triangles;
    bool ascii;
} stl_file;

/* Opens and checks. false: `why` says what is wrong with it. */
bool stl_open(const char *path, stl_file *out, char *why, size_t why_size);
void stl_close(stl_file *file);

/* Vertices of the triangles [from, to), nine floats each, to `target`. ASCII files: all at once. false: `why`. */
bool stl_read(const stl_file *file, size_t from, size_t to, float *target, char *why, size_t why_size);

/* Writes a binary file of about `triangles` triangles: nine closed, wavy rings standing in a square. */
bool stl_generate(const char *path, size_t triangles, char *why, size_t why_size);

#endif
