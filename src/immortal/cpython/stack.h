/* The Python stack of the calling thread, written from a signal handler. */
#ifndef STOA_CPYTHON_STACK_H
#define STOA_CPYTHON_STACK_H

/* Names the interpreter of this thread and writes its Python stack to fd, as far as it can be read. Async-signal-safe: no
 * locks, no memory, nothing is called that could raise. The thread may hold a GIL or none, or be unknown to Python. */
void stoa__write_python_stack(int fd);

#endif
