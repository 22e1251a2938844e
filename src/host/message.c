#include "host/message.h"

#include <stdarg.h>
#include <stdio.h>

#include "heap/lock.h"

static stoa_lock lock = STOA_LOCK_INIT(STOA_RANK_MESSAGE);
static stoa_message_hook current_hook; /* guarded by lock */
static void *current_arg;              /* guarded by lock */

void
stoa_set_message_hook(stoa_message_hook hook, void *arg)
{
    stoa__lock(&lock);
    current_hook = hook;
    current_arg = arg;
    stoa__unlock(&lock);
}

void
stoa__say(stoa_severity severity, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    stoa__lock(&lock);
    stoa_message_hook hook = current_hook;
    void *arg = current_arg;
    stoa__unlock(&lock);
    if (hook != NULL) {
        hook(severity, text, arg);
    }
    else {
        (void)fprintf(stderr, "stoa: %s\n", text);
    }
}
