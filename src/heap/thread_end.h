/* Something to do when the calling thread ends.
 *
 * A pthread key looks made for it, but keys are numbered by each C library while their values lie in the thread: with a
 * second libc in the process (dlmopen), two keys of one number meet in one slot, and one library's destructor gets the
 * other's pointer. Thread-local variables have no such clash (the loader numbers them for all), and neither has the
 * list that C++ uses for their destructors. So: state in `_Thread_local`, clean-up through this.
 */
#ifndef STOA_HEAP_THREAD_END_H
#define STOA_HEAP_THREAD_END_H

/* Calls hook(arg) on this thread when it ends (main thread: in exit()), the last hook registered first, before the
 * destructors of pthread keys. Keeps the library loaded until then. Any thread, no lock held needed. */
void stoa__at_thread_end(void (*hook)(void *), void *arg);

#endif
