#include "heap/libraries.h"

#include <jemalloc/jemalloc.h>
#include <stdio.h>

#include <xxhash.h>

void
stoa__jemalloc_version(char *buffer, size_t size)
{
    const char *version = "unknown";
    size_t length = sizeof(version);
    (void)stoa_je_mallctl("version", &version, &length, NULL, 0);
    snprintf(buffer, size, "%s", version);
}

void
stoa__xxhash_version(char *buffer, size_t size)
{
    snprintf(buffer, size, "%d.%d.%d", XXH_VERSION_MAJOR, XXH_VERSION_MINOR, XXH_VERSION_RELEASE);
}
