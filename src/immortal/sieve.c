#include "immortal/sieve.h"

#include <stdlib.h>

void
stoa__sieve_widen(stoa_sieve **sieve, uint64_t expected)
{
    unsigned log2 = STOA_SIEVE_LEAST;
    while (log2 < STOA_SIEVE_MOST && UINT64_C(16) << log2 < expected) { /* four bits for each, or more */
        log2++;
    }
    if (*sieve != NULL && (*sieve)->log2_words >= log2) {
        return;
    }
    stoa_sieve *made = calloc(1, sizeof(*made) + (sizeof(uint64_t) << log2));
    if (made == NULL) {
        return;
    }
    made->log2_words = log2;
    made->before = *sieve;
    *sieve = made;
}

void
stoa__sieve_free(stoa_sieve *sieve)
{
    while (sieve != NULL) {
        stoa_sieve *before = sieve->before;
        free(sieve);
        sieve = before;
    }
}
