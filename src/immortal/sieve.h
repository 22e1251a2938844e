/* Which containers a long walk has surely not made before, told by the numbers in them.
 *
 * Problem: a container of which every part has been met before may be there already, so it is looked up. Where it holds
 * numbers it is nearly always new all the same, and nobody can ask for its slot ahead: its key is known only when its
 * texts are found.
 * Mechanism: a Bloom filter of two bits in one word, over the sum of the numbers that a container has, whatever else it
 * holds. The sum is known from the source alone, so the scout (ahead.h) asks for the word. Small enough for the
 * processor's cache; a larger one is laid over it when the walk turns out to be longer. (Blocked filters: Putze,
 * Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007.)
 *
 * Owner: the walk.
 */
#ifndef STOA_IMMORTAL_SIEVE_H
#define STOA_IMMORTAL_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STOA_SIEVE_LEAST 10u /* of log2_words */
#define STOA_SIEVE_MOST 17u  /* 1 MiB */

typedef struct stoa_sieve {
    struct stoa_sieve *before; /* smaller, with what was added until this one was made; NULL: none */
    unsigned log2_words;
    uint64_t words[];
} stoa_sieve;

/* Lays a larger one over *sieve, if about `expected` containers are too many for it and there is memory. */
void stoa__sieve_widen(stoa_sieve **sieve, uint64_t expected);
void stoa__sieve_free(stoa_sieve *sieve); /* NULL: nothing */

/* The sum of a container's numbers: begin with 0, add the word (content.h) of each in order. */
static inline uint64_t
stoa__sieve_sum(uint64_t sum, uint64_t word)
{
    uint64_t mix = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return mix ^ mix >> 29;
}

static inline uint64_t *
stoa__sieve_word(stoa_sieve *sieve, uint64_t sum)
{
    return &sieve->words[sum * UINT64_C(0xD6E8FEB86659FD93) >> (64 - sieve->log2_words)];
}

static inline uint64_t
stoa__sieve_bits(uint64_t sum)
{
    return UINT64_C(1) << (sum & 63) | UINT64_C(1) << (sum >> 6 & 63);
}

/* Adds a container. True: none with these numbers was there. */
static inline bool
stoa__sieve_add(stoa_sieve *sieve, uint64_t sum)
{
    uint64_t bits = stoa__sieve_bits(sum), *word = stoa__sieve_word(sieve, sum);
    bool fresh = (*word & bits) != bits;
    *word |= bits;
    for (sieve = sieve->before; fresh && sieve != NULL; sieve = sieve->before) {
        fresh = (*stoa__sieve_word(sieve, sum) & bits) != bits;
    }
    return fresh;
}

#endif
