/* What all parts of the program use. A failure ends it, with the message. */
#ifndef INDEX_HOST_SUPPORT_H
#define INDEX_HOST_SUPPORT_H

#include <stoa.h>

/* Ends the program with the reason: Stoa's message, or else errno's text. */
void die(const char *what);
void check(stoa_err err, const char *what);
/* The same; a Python exception is shown with its traceback. */
void check_call(stoa_err err, const char *what, stoa_exception **exception);
/* `array` with twice the room for items of `item` bytes. */
void *grow(void *array, size_t *room, size_t item);
/* Seconds of a clock that only goes forward. */
double now(void);

/* A growing array of 32-bit numbers. */
typedef struct numbers {
    uint32_t *items;
    size_t count, room;
} numbers;

void numbers_add(numbers *all, size_t number);

#endif
