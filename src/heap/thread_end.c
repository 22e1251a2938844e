#include "heap/thread_end.h"

/* The C++ ABI's registration, exported by glibc for every language; `dso` keeps that library loaded. It allocates a few
 * words and ends the process itself when it cannot. */
extern int __cxa_thread_atexit_impl(void (*hook)(void *), void *arg, void *dso);
extern void *__dso_handle __attribute__((visibility("hidden")));

void
stoa__at_thread_end(void (*hook)(void *), void *arg)
{
    (void)__cxa_thread_atexit_impl(hook, arg, &__dso_handle);
}
