/* \file stoa/error.h
 * \brief Result codes of all C functions, their names and texts, and the message of the last failure.
 */
#ifndef STOA_ERROR_H
#define STOA_ERROR_H

#include "stoa/base.h"

STOA_BEGIN_DECLS

/* One table yields the enumeration, the names and the texts. X(symbol, number, text) */
#define STOA_ERROR_TABLE(X)                                                                   \
    X(STOA_OK, 0, "success")                                                                  \
    X(STOA_ENOMEM, 1, "out of memory, or a heap or region limit was hit")                     \
    X(STOA_EINVAL, 2, "an argument is not valid")                                             \
    X(STOA_ESTATE, 3, "not possible in this state")                                           \
    X(STOA_EUTF8, 4, "text is not valid UTF-8")                                               \
    X(STOA_ETYPE, 5, "the object is of another kind")                                         \
    X(STOA_ENOTFREEZABLE, 6, "the object, or one inside it, cannot be frozen")                \
    X(STOA_ECYCLE, 7, "the object contains itself")                                           \
    X(STOA_ENOTFOUND, 8, "nothing of that name, key or index")                                \
    X(STOA_EEXIST, 9, "the name is in use")                                                   \
    X(STOA_ETIMEDOUT, 10, "the time allowed ran out")                                         \
    X(STOA_EGONE, 11, "the interpreter, handle or region is closed")                          \
    X(STOA_EPYTHON, 12, "Python code raised an exception")                                    \
    X(STOA_EVERSION, 13, "this Python, or another copy of Stoa in the process, does not fit") \
    X(STOA_EOS, 14, "the operating system refused")                                           \
    X(STOA_EDEADLOCK, 15, "waiting would never end")                                          \
    X(STOA_EINTERRUPTED, 16, "interrupted by a signal")                                       \
    X(STOA_EFORKED, 17, "belongs to the process this one was forked from")                    \
    X(STOA_ECANCELLED, 18, "cancelled before it began")                                       \
    X(STOA_ECLOSED, 19, "the queue was shut down")                                            \
    X(STOA_EBROKEN, 20, "the lock or barrier is broken")

typedef enum stoa_err {
#define STOA_ERROR_ENUM(symbol, number, text) symbol = number,
    STOA_ERROR_TABLE(STOA_ERROR_ENUM)
#undef STOA_ERROR_ENUM
} stoa_err;

/* The symbol of a code ("STOA_ENOMEM"), or "STOA_E?" for a number that is none. Any thread; static storage. */
STOA_API const char *stoa_err_name(stoa_err err);

/* The general text of a code. Any thread; static storage. */
STOA_API const char *stoa_err_text(stoa_err err);

/* The message of this thread's last failed call of Stoa: "STOA_ENOMEM: what, where, and what to do".
 * Never NULL ("" before the first failure). Borrowed: valid until this thread's next call of Stoa. */
STOA_API const char *stoa_error_message(void);

STOA_END_DECLS

#endif /* STOA_ERROR_H */
