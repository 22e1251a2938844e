/* This folder comes first on the include path of src/heap. The layer knows nothing of CPython, so that it can be
 * tested, fuzzed and run under ThreadSanitizer without an interpreter; whoever includes Python.h there meets this. */
#error "src/heap must not include Python.h: what needs CPython belongs in src/immortal or above"
