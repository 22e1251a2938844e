/* \file stoa.h
 * \brief Stoa: the Python interpreters of one process share objects. This file is the guide; it includes the rest.
 *
 *   one process
 *   +--------------------------------------------------------------------------------------------+
 *   |  interpreter A (own GIL)      interpreter B (own GIL)      host threads, no interpreter     |
 *   |  local objects                local objects                C data                           |
 *   |        |  freeze, lookup            |  lookup                    |  build, publish, read     |
 *   |  ------+----------------------------+----------------------------+-----------------------   |
 *   |  shared heap: str, bytes, int, float, tuple, frozenset, mapping … read-only, immortal,      |
 *   |               used by pointer by all of them, found by name                                 |
 *   +--------------------------------------------------------------------------------------------+
 *
 * A host in ten lines (errors left out):
 *
 *     stoa_runtime_open(NULL);
 *     stoa_interp *worker;
 *     stoa_interp_new("worker", false, &worker);
 *     stoa_exec(worker, "def double(x): return 2 * x", NULL, NULL);
 *     stoa_data argument = stoa_data_int(21), result;
 *     stoa_call(worker, "__main__:double", &argument, 1, 0, &result, NULL);    // result.as.integer == 42
 *     stoa_interp_close(worker, -1);
 *     stoa_interp_free(worker);
 *     stoa_runtime_close();
 *
 * Threads. Every function says which threads may call it; unless it says otherwise: any, also threads that Python has never
 * seen, with no GIL and no thread state. A thread that enters an interpreter holds that interpreter's GIL until it leaves,
 * and none other. `const T *` arguments may be used by several threads at once, `T *` arguments by one at a time, except
 * stoa_interp, which any number of threads may use.
 *
 * Ownership. `owned` results are given up by the function named beside them; `borrowed` ones live as long as what they came
 * from; `shared` objects are never released (they live as long as their region: in the default one, as long as the
 * process). What a function takes as an argument it copies or borrows, never takes over.
 *
 * Errors. Functions return a stoa_err; STOA_OK is 0. On failure no out_ argument is written unless the function says so, and
 * stoa_error_message() has the details for the calling thread. Python exceptions are an outcome of their own
 * (stoa/call.h); functions of stoa/python.h raise them instead.
 *
 * Lifetime. Open the runtime, make interpreters, close them (in any order, from any thread), close the runtime. What is
 * left open at the end is closed then. Threads may end while interpreters live and the other way round: what Stoa
 * keeps for a pair of them goes with the first to go.
 *
 * Fork. A forked child reads everything that was shared before; what it shares itself is its own. Of the interpreters only
 * the one that forked goes on in the child, all others are closed there (STOA_EGONE). Forking inside a call from another
 * interpreter ends the child when that call returns: exec or _exit before.
 *
 * Caveats. Shared objects cannot be written to by any instruction: C extensions compiled from headers older than Python
 * 3.12 write to reference counts; the write guard lets that pass (STOA_GUARD=strict makes it fatal). Signals are handled
 * in the main interpreter's main thread only. A blocking C call in an interpreter keeps stoa_interp_close waiting.
 */
#ifndef STOA_H
#define STOA_H

#include "stoa/array.h"
#include "stoa/base.h"
#include "stoa/build.h"
#include "stoa/call.h"
#include "stoa/callback.h"
#include "stoa/error.h"
#include "stoa/handle.h"
#include "stoa/interp.h"
#include "stoa/lock.h"
#include "stoa/names.h"
#include "stoa/pool.h"
#include "stoa/queue.h"
#include "stoa/record.h"
#include "stoa/region.h"
#include "stoa/runtime.h"
#include "stoa/value.h"
#include "stoa/version.h"

#endif /* STOA_H */
