/* C functions as callables of Python. */
#ifndef STOA_HOST_CALLBACK_H
#define STOA_HOST_CALLBACK_H

/* Makes the wrapper type known, before a callback can arrive anywhere. Idempotent, any thread. */
void stoa__callback_ready(void);

#endif
