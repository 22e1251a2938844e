/* The write guard: what happens when somebody writes to a shared object.
 *
 * The public view is read-only, so such a write is a SIGSEGV inside the range. Writes to a refcount field (extensions
 * whose Py_INCREF was compiled from headers older than 3.12) are harmless within a margin of a billion: the guard opens
 * that one page (the same memfd page, so the alias stays coherent; below fork_floor: a private copy), counts it, warns
 * once, and the instruction goes on. Any other write ends the process with a message naming the object, its type, the
 * interpreter and both stacks. Faults elsewhere go to the handler that was there before (faulthandler's included),
 * which is found again when somebody installs one after us. Runs on an alternate stack, async-signal-safe throughout.
 */
#ifndef STOA_HEAP_GUARD_H
#define STOA_HEAP_GUARD_H

#include "stoa/error.h"

typedef enum stoa_guard_mode { STOA_GUARD_OFF, STOA_GUARD_TOLERATE, STOA_GUARD_STRICT } stoa_guard_mode;

/* What the layer above knows about an address; all async-signal-safe: reads memory, formats into buffer, no locks. */
typedef struct stoa_guard_describer {
    /* Is this the address of a refcount field of a shared object (a write of 4 or 8 bytes at it)? */
    bool (*is_refcount)(const void *address);
    /* Text like "str 'abc…' at 0x…, offset 24 (hash)" for the object that contains the address. Returns its length. */
    size_t (*describe)(const void *address, char *buffer, size_t size);
    /* Text that names the interpreter of the calling thread, and its Python stack, written to fd. */
    void (*write_python_stack)(int fd);
} stoa_guard_describer;

/* Installs the handler (mode from STOA_GUARD=strict|tolerate|off, default tolerate). Idempotent. */
stoa_err stoa__guard_install(const stoa_guard_describer *describer);
void stoa__guard_set_mode(stoa_guard_mode mode);
stoa_guard_mode stoa__guard_get_mode(void);
uint64_t stoa__guard_tolerated(void); /* refcount writes let through */
/* Gives the calling thread an alternate signal stack, if it has none; freed when the thread ends. */
void stoa__guard_thread(void);

#endif
