/* Layout probes: one real object of each kind, made by the running interpreter, against our image of it.
 *
 * A build of CPython may differ from the headers we were compiled with (patches, options). So before anything is shared
 * each kind is built both ways and compared byte by byte, except the refcount word, addresses that must differ, and state
 * that is ours on purpose. The images are laid into a batch that is then aborted.
 */
#ifndef STOA_CPYTHON_PROBE_H
#define STOA_CPYTHON_PROBE_H

/* GIL; the runtime facts and the canonical table are filled, the process struct is open. 0, or -1 with UnsupportedPython
 * that names the fact that does not hold (or MemoryError). */
int stoa__probe(void);

#endif
