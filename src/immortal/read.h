/* What the files behind stoa/value.h share. */
#ifndef STOA_IMMORTAL_READ_H
#define STOA_IMMORTAL_READ_H

#include "stoa/value.h"

/* STOA_EINVAL for NULL, STOA_ETYPE else, with a message. */
stoa_err stoa__wrong_kind(const char *function, const stoa_object *object, const char *wanted);

#endif
