/* Lines of text for people that no call can return: to the host's hook, else to standard error. */
#ifndef STOA_HOST_MESSAGE_H
#define STOA_HOST_MESSAGE_H

#include "stoa/runtime.h"

/* Any thread, no lock held; cut at 500 bytes. */
void stoa__say(stoa_severity severity, const char *format, ...) STOA_PRINTF(2, 3);

#endif
