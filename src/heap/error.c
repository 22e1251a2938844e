#include "heap/error.h"

#include "heap/thread_end.h" /* a long message is freed with its thread */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A longer message is cut: a thread keeps what it once needed. */
#define MESSAGE_MAX 65536

/* Invariant: text is NULL, "", `shorter` or `grown`, zero-terminated. Owner thread only. */
typedef struct message {
    const char *text; /* NULL before the first failure */
    char *grown;      /* NULL while every message fitted into `shorter` */
    bool hooked;      /* thread end registered */
    bool ended;       /* after the thread-end hook: nothing may be allocated any more */
    char shorter[256];
} message;

static _Thread_local message last;

static void
free_message(void *unused)
{
    (void)unused;
    last.text = "";
    last.ended = true;
    free(last.grown);
    last.grown = NULL;
}

/* The name and the text of a code, from the one table. */
const char *
stoa_err_name(stoa_err err)
{
    switch (err) {
#define NAME_CASE(symbol, number, text) \
    case symbol:                        \
        return #symbol;
        STOA_ERROR_TABLE(NAME_CASE)
#undef NAME_CASE
    }
    return "STOA_E?";
}

const char *
stoa_err_text(stoa_err err)
{
    switch (err) {
#define TEXT_CASE(symbol, number, text) \
    case symbol:                        \
        return text;
        STOA_ERROR_TABLE(TEXT_CASE)
#undef TEXT_CASE
    }
    return "a number that is no result code of Stoa";
}

const char *
stoa_error_message(void)
{
    return last.text != NULL ? last.text : "";
}

/* Ends a cut text in "..." without leaving half a UTF-8 sequence before it. */
static void
mark_cut(char *text, size_t size)
{
    size_t end = size - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) {
        end--;
    }
    memcpy(text + end, "...", 4);
}

/* A buffer of at least `size` bytes that is not the one the present message lies in; NULL: none to be had. */
static char *
grow(size_t size, size_t *out_capacity)
{
    if (last.ended) {
        return NULL;
    }
    if (!last.hooked) {
        last.hooked = true;
        stoa__at_thread_end(free_message, NULL);
    }
    size_t capacity = 512;
    while (capacity < size) {
        capacity *= 2;
    }
    *out_capacity = capacity;
    return malloc(capacity);
}

/* Formats "<symbol>: <text><tail>". The arguments may point into the present message, so nothing of it is touched
 * before all is formatted. */
static void
remember(stoa_err err, const char *format, va_list args, const char *tail)
{
    char first[sizeof last.shorter];
    va_list again;
    va_copy(again, args);
    int head = snprintf(first, sizeof first, "%s: ", stoa_err_name(err));
    int body = vsnprintf(first + head, sizeof first - (size_t)head, format, args);
    if (body < 0) { /* the C library could not: a wide character, or memory */
        body = snprintf(first + head, sizeof first - (size_t)head, "%s", stoa_err_text(err));
        format = NULL;
    }
    size_t tail_size = strlen(tail);
    size_t size = (size_t)head + (size_t)body + tail_size + 1;
    if (size <= sizeof first || format == NULL) {
        snprintf(first + head + body, sizeof first - (size_t)head - (size_t)body, "%s", tail);
        memcpy(last.shorter, first, sizeof first);
        last.text = last.shorter;
        va_end(again);
        return;
    }
    size_t capacity = 0;
    char *text = grow(size < MESSAGE_MAX ? size : MESSAGE_MAX, &capacity);
    if (text == NULL) {
        mark_cut(first, sizeof first);
        memcpy(last.shorter, first, sizeof first);
        last.text = last.shorter;
        va_end(again);
        return;
    }
    memcpy(text, first, (size_t)head);
    vsnprintf(text + head, capacity - (size_t)head, format, again);
    va_end(again);
    if (size > capacity) {
        mark_cut(text, capacity);
    }
    else {
        memcpy(text + head + body, tail, tail_size + 1);
    }
    free(last.grown);
    last.grown = text;
    last.text = text;
}

stoa_err
stoa__fail(stoa_err err, const char *format, ...)
{
    int saved = errno;
    va_list args;
    va_start(args, format);
    remember(err, format, args, "");
    va_end(args);
    errno = saved;
    return err;
}

stoa_err
stoa__fail_os(int os_error, const char *format, ...)
{
    int saved = errno;
    char tail[160];
    char buffer[128];
    /* the GNU variant: returns the text, which need not be in the buffer */
    snprintf(tail, sizeof tail, ": %s (errno %d)", strerror_r(os_error, buffer, sizeof buffer), os_error);
    stoa_err err = os_error == ENOMEM ? STOA_ENOMEM : STOA_EOS;
    va_list args;
    va_start(args, format);
    remember(err, format, args, tail);
    va_end(args);
    errno = saved;
    return err;
}
