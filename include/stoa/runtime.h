/* \file stoa/runtime.h
 * \brief Starting and ending Stoa in a C program, its version, its statistics, its messages.
 *
 * A host may have initialised Python before, or leave it to stoa_runtime_open. Either way all other functions of Stoa are
 * then usable from every thread, with no GIL and no thread state; those that need Python take what they need themselves.
 */
#ifndef STOA_RUNTIME_H
#define STOA_RUNTIME_H

#include "stoa/error.h"

STOA_BEGIN_DECLS

/* The version of the library that runs, "1.2.3", and as one number: 10000 * major + 100 * minor + patch.
 * (STOA_VERSION_STRING and STOA_VERSION in stoa/version.h are those of the headers.) Any thread, any time. */
STOA_API const char *stoa_version(void);
STOA_API int stoa_version_number(void);

/* How Python is initialised, where it has not been. Fill with stoa_runtime_options_init, then change what is wanted. */
typedef struct stoa_runtime_options {
    size_t size;         /* sizeof(stoa_runtime_options); set by stoa_runtime_options_init */
    const char *program; /* sys.executable's guess starts here; NULL: argv[0], or "python3" */
    const char *home;    /* PYTHONHOME: where Python's own files are; NULL: Python finds them */
    int argc;            /* sys.argv; 0: [''] */
    const char *const *argv;
    bool isolated;        /* ignore the environment (PYTHON*) and the user's site folder; default true */
    bool site;            /* import site, and with it .pth files and virtual environments; default true */
    bool signal_handlers; /* let Python handle SIGINT; default false: signals are the host's */
    size_t path_count;    /* folders put in front of sys.path; the stoa package is found without them */
    const char *const *paths;
} stoa_runtime_options;

STOA_API void stoa_runtime_options_init(stoa_runtime_options *options);

/* Opens the shared heap, initialises Python if nobody has, and makes the main interpreter take part.
 *
 * `options` NULL: the defaults. Where Python is initialised already they are not used.
 * Outcomes: STOA_OK; called again: STOA_OK, and one more stoa_runtime_close is needed. STOA_EPYTHON: Python could not be
 * initialised (the message says why). STOA_EVERSION: this Python, or another copy of Stoa in the process, does not fit.
 * STOA_EINVAL: options->size is of no known version. STOA_ENOMEM, STOA_EOS.
 * Threads: one at a time. With Python initialised before: with its GIL held in the main interpreter, or with no thread
 * state at all (the GIL is taken for a moment). If this call initialises Python, the calling thread is Python's main
 * thread from now on, and holds no GIL on return. */
STOA_API stoa_err stoa_runtime_open(const stoa_runtime_options *options);

/* Undoes one stoa_runtime_open; the last one closes all interpreters that Stoa made (calls under way get a few seconds to
 * finish), and finalises Python if stoa_runtime_open initialised it.
 *
 * The shared heap stays: what was built and published is there for the rest of the process.
 * Outcomes: STOA_OK. STOA_ESTATE: not open, or called on another thread than the one that opened (only where Python is to
 * be finalised), or inside an interpreter. STOA_ETIMEDOUT: an interpreter could not be closed; everything else was.
 * STOA_EPYTHON: Python's finalisation reported an error (data that could not be flushed).
 * Threads: one at a time, no GIL held. */
STOA_API stoa_err stoa_runtime_close(void);

/* Is it open? Any thread. */
STOA_API bool stoa_runtime_is_open(void);

/* ---- messages ---------------------------------------------------------------------------------------------------- */

typedef enum stoa_severity { STOA_NOTE = 0, STOA_WARNING = 1, STOA_PROBLEM = 2 } stoa_severity;

/* Called with a line of text (no newline) that has no call to be returned from. Any thread, perhaps with a GIL held:
 * it must not call Stoa or Python, and must return soon. */
typedef void (*stoa_message_hook)(stoa_severity severity, const char *text, void *arg);

/* Where messages go; NULL: standard error, which is the default. Any thread. The old hook may still be running on another
 * thread when this returns. */
STOA_API void stoa_set_message_hook(stoa_message_hook hook, void *arg);

/* ---- statistics -------------------------------------------------------------------------------------------------- */

/* Figures of the process. The struct may grow at its end: `size` is set by the caller. */
typedef struct stoa_stats {
    size_t size;                /* in: sizeof(stoa_stats) as the caller knows it */
    uint64_t interpreters;      /* that take part now, the main one included */
    uint64_t interpreters_made; /* by Stoa */
    uint64_t interpreters_closed;
    uint64_t names; /* in use now */
    uint64_t lookups;
    uint64_t publishes;
    uint64_t calls; /* entries into interpreters */
    uint64_t thread_states_made;
    uint64_t thread_states_ended;
    uint64_t guard_tolerated; /* pages opened by the write guard */
} stoa_stats;

/* Fills *out. STOA_EINVAL: out->size is of no known version. STOA_ESTATE: the runtime was never open. Any thread. */
STOA_API stoa_err stoa_get_stats(stoa_stats *out);

STOA_END_DECLS

#endif /* STOA_RUNTIME_H */
