#include "heap/wipe.h"

#define STACK_USED ((size_t)16 << 10)

__attribute__((noinline)) void
stoa__wipe_stack(void)
{
    char used[STACK_USED];
    explicit_bzero(used, sizeof used);
}
