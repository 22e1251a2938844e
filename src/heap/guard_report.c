#include "heap/guard_report.h"

#include "heap/fault.h"

#include <execinfo.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 64

typedef struct text {
    size_t length;
    char bytes[2048];
} text;

static void
put(text *t, const char *what)
{
    while (*what != 0 && t->length < sizeof t->bytes) {
        t->bytes[t->length++] = *what++;
    }
}

static void
put_number(text *t, uintptr_t number, unsigned base)
{
    char digits[24];
    size_t n = 0;
    do {
        digits[n++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    while (n != 0 && t->length < sizeof t->bytes) {
        t->bytes[t->length++] = digits[--n];
    }
}

static void
put_address(text *t, const void *address)
{
    put(t, "0x");
    put_number(t, (uintptr_t)address, 16);
}

static void
write_all(const char *bytes, size_t length)
{
    while (length != 0) {
        ssize_t n = write(STDERR_FILENO, bytes, length);
        if (n <= 0) {
            return;
        }
        bytes += n;
        length -= (size_t)n;
    }
}

static void
flush(text *t)
{
    write_all(t->bytes, t->length);
    t->length = 0;
}

/* The first describer that knows the object; else the bare address. */
static void
put_object(text *t, const stoa_guard *guard, const void *address)
{
    uint32_t count = atomic_load_explicit(&guard->describer_count,
                                          memory_order_acquire); /* pairs with add_describer */
    for (uint32_t i = 0; i < count; i++) {
        char buffer[512];
        size_t length = guard->describers[i].describe == NULL
                            ? 0
                            : guard->describers[i].describe(address, buffer, sizeof buffer);
        if (length != 0) {
            buffer[length < sizeof buffer ? length : sizeof buffer - 1] = 0;
            put(t, buffer);
            return;
        }
    }
    put(t, "address ");
    put_address(t, address);
}

void
stoa__guard_warn(const stoa_guard *guard, const stoa_fault *fault)
{
    text t = {.length = 0};
    put(&t, "stoa: warning: the reference count of a shared object was written to: ");
    put_object(&t, guard, fault->address);
    put(&t, "\nstoa: an extension compiled from headers older than Python 3.12 does that; the write is let "
            "through, and\n"
            "stoa: so are further ones, without a word. STOA_GUARD=strict ends the process at the first one. "
            "Writer:\n");
    flush(&t);
    void *writer = (void *)stoa__fault_pc(fault->context);
    backtrace_symbols_fd(&writer, 1, STDERR_FILENO);
}

static void
put_what_happened(text *t, const stoa_fault *fault)
{
    if (fault->is_bus) {
        put(t, "the system has no page for this address of the shared heap: it is out of memory (or a limit "
               "for shared\n"
               "stoa: memory is hit), or the address was never handed out");
    }
    else if (fault->in_alias) {
        put(t, "an address in Stoa's own writable view was used that is closed to this process");
    }
    else if (!fault->is_write) {
        put(t, "read of an address of the shared heap that holds nothing any more: its region was retired, "
               "or the pointer\n"
               "stoa: is stale or made up");
    }
    else if (fault->is_refcount && fault->os_error != 0) {
        put(t, "write to the reference count of a shared object, which could not be let through (errno ");
        put_number(t, (uintptr_t)fault->os_error, 10);
        put(t, ")");
    }
    else if (fault->is_refcount) {
        put(t, "write to the reference count of a shared object, and STOA_GUARD is strict: the writer was "
               "compiled from\n"
               "stoa: headers older than Python 3.12");
    }
    else {
        put(t, "write to a shared object: shared objects are immutable, the writer is at fault");
    }
}

void
stoa__guard_report(const stoa_guard *guard, const stoa_fault *fault)
{
    text t = {.length = 0};
    put(&t, "stoa: fatal: ");
    put_what_happened(&t, fault);
    put(&t, "\nstoa: object: ");
    flush(&t); /* so that all up to here is out, should the describer fail */
    put_object(&t, guard, fault->address);
    put(&t, "\nstoa: address ");
    put_address(&t, fault->address);
    put(&t, ", at instruction:\n");
    flush(&t);
    void *frames[FRAMES];
    frames[0] = (void *)stoa__fault_pc(fault->context);
    backtrace_symbols_fd(frames, 1, STDERR_FILENO);
    put(&t, "stoa: native stack (the handler's own frames first):\n");
    flush(&t);
    int count = backtrace(frames, FRAMES);
    if (count > 0) {
        backtrace_symbols_fd(frames, count, STDERR_FILENO);
    }
    put(&t, "stoa: interpreter and Python stack:\n");
    flush(&t);
    uint32_t describers = atomic_load_explicit(&guard->describer_count, memory_order_acquire);
    for (uint32_t i = 0; i < describers; i++) {
        if (guard->describers[i].write_python_stack != NULL) {
            guard->describers[i].write_python_stack(STDERR_FILENO);
        }
    }
}

void
stoa__guard_report_failed(const void *address)
{
    text t = {.length = 0};
    put(&t, "\nstoa: fatal: and a second fault while that was being written, at address ");
    put_address(&t, address);
    put(&t, "\n");
    flush(&t);
}
