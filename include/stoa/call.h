/* \file stoa/call.h
 * \brief Running Python code in an interpreter with C values in and out.
 *
 * Every call has three outcomes, told by the code that it returns:
 *   host error         any code but the two below: nothing ran, or nothing can be said of it; stoa_error_message() tells
 *   Python exception   STOA_EPYTHON: *out_exception (where asked for) is an owned description of it
 *   value              STOA_OK: *out_result is written
 * The calling thread enters the interpreter for the time of the call, from wherever it is; no GIL needs to be held.
 */
#ifndef STOA_CALL_H
#define STOA_CALL_H

#include "stoa/interp.h"
#include "stoa/value.h"

#include <string.h>

STOA_BEGIN_DECLS

/* ---- values ------------------------------------------------------------------------------------------------------ */

typedef enum stoa_data_kind {
    STOA_DATA_NONE = 0,
    STOA_DATA_BOOL,
    STOA_DATA_INT, /* 64 bits, signed */
    STOA_DATA_FLOAT,
    STOA_DATA_TEXT, /* UTF-8 <-> str */
    STOA_DATA_BYTES,
    STOA_DATA_SHARED, /* a shared object, by pointer */
    STOA_DATA_HANDLE  /* an object of an interpreter: the object itself there, a proxy elsewhere */
} stoa_data_kind;

/* What holds an object of an interpreter: stoa/handle.h has all about it. 0 is none. */
typedef uint64_t stoa_handle;

/* A value on its way in or out. As an argument it borrows what it points at. As a result text and bytes are owned, and
 * followed by a NUL, and so is a handle: stoa_data_clear; a shared object is not released. */
typedef struct stoa_data {
    stoa_data_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const char *at;
            size_t size;
        } text; /* and bytes */
        const stoa_object *shared;
        stoa_handle handle;
    } as;
    void *owned; /* private: what stoa_data_clear frees */
} stoa_data;

/* Frees what a result owns and makes it None. Any thread. */
STOA_API void stoa_data_clear(stoa_data *data);

static inline stoa_data
stoa_data_none(void)
{
    stoa_data data;
    memset(&data, 0, sizeof(data));
    return data;
}

static inline stoa_data
stoa_data_bool(bool value)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_BOOL;
    data.as.boolean = value;
    return data;
}

static inline stoa_data
stoa_data_int(int64_t value)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_INT;
    data.as.integer = value;
    return data;
}

static inline stoa_data
stoa_data_float(double value)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_FLOAT;
    data.as.real = value;
    return data;
}

static inline stoa_data
stoa_data_text(const char *utf8, size_t size)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_TEXT;
    data.as.text.at = utf8;
    data.as.text.size = size;
    return data;
}

static inline stoa_data
stoa_data_bytes(const void *bytes, size_t size)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_BYTES;
    data.as.text.at = (const char *)bytes;
    data.as.text.size = size;
    return data;
}

static inline stoa_data
stoa_data_shared(const stoa_object *object)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_SHARED;
    data.as.shared = object;
    return data;
}

static inline stoa_data
stoa_data_handle(stoa_handle handle)
{
    stoa_data data = stoa_data_none();
    data.kind = STOA_DATA_HANDLE;
    data.as.handle = handle;
    return data;
}

/* ---- exceptions -------------------------------------------------------------------------------------------------- */

/* What was raised: text that outlives the interpreter. Owned; read by any thread. */
typedef struct stoa_exception stoa_exception;

/* "builtins.ValueError"; str() of it; the traceback as Python prints it. Borrowed from `exception`, never NULL. */
STOA_API const char *stoa_exception_type(const stoa_exception *exception);
STOA_API const char *stoa_exception_message(const stoa_exception *exception);
STOA_API const char *stoa_exception_traceback(const stoa_exception *exception);

/* NULL: nothing happens. */
STOA_API void stoa_exception_free(stoa_exception *exception);

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Runs source code in __main__ of the interpreter.
 *
 * `source`: UTF-8, NUL-terminated. `label` names it in tracebacks; NULL: one is made up. `out_exception` may be NULL.
 * Outcomes: STOA_OK. STOA_EPYTHON: it raised, or is no Python; SystemExit, too, is only told. STOA_EGONE, STOA_ESTATE,
 * STOA_ENOMEM as stoa_interp_enter; STOA_EINVAL: NULL arguments. *out_exception is written on STOA_EPYTHON only. */
STOA_API stoa_err stoa_exec(stoa_interp *interp, const char *source, const char *label,
                            stoa_exception **out_exception);

/* A result that is none of the other kinds is frozen and returned as STOA_DATA_SHARED: it stays in the default region for
 * the rest of the process. Without this flag it is an error. */
#define STOA_CALL_FREEZE_RESULT 1u

/* A result that is none of the other kinds, a list for example, is returned as STOA_DATA_HANDLE: the object stays where it
 * is, and is used through stoa/handle.h. Not together with STOA_CALL_FREEZE_RESULT. */
#define STOA_CALL_HOLD_RESULT 2u

/* Calls a function.
 *
 * `function`: "module:qualname"; the module is imported where it has not been; "__main__:f" is what stoa_exec defined.
 * `args`: `count` values, borrowed; NULL when count is 0. `out_result`, `out_exception` may be NULL.
 * Outcomes: STOA_OK: *out_result is owned (stoa_data_clear). STOA_EPYTHON: it raised, or cannot be imported.
 * STOA_ETYPE: it returned something that is no stoa_data (an int of more than 64 bits included); STOA_ENOTFREEZABLE: the
 * same with STOA_CALL_FREEZE_RESULT. STOA_EUTF8: a text argument is no UTF-8; or, with
 * no flag, the result is a str with lone surrogates, which has none. STOA_EINVAL: no such kind, no ':'.
 * STOA_EGONE: a handle among the arguments was released, or its interpreter is closed; and, as STOA_ESTATE and
 * STOA_ENOMEM, as stoa_interp_enter. */
STOA_API stoa_err stoa_call(stoa_interp *interp, const char *function, const stoa_data *args, size_t count,
                            unsigned flags, stoa_data *out_result, stoa_exception **out_exception);

/* The same two with a time limit: after `timeout` seconds (negative: none) the Python code that runs is interrupted, and
 * STOA_ETIMEDOUT is returned. STOA_EINVAL: timeout is no number. */
STOA_API stoa_err stoa_exec_within(stoa_interp *interp, const char *source, const char *label, double timeout,
                                   stoa_exception **out_exception);
STOA_API stoa_err stoa_call_within(stoa_interp *interp, const char *function, const stoa_data *args,
                                   size_t count, unsigned flags, double timeout, stoa_data *out_result,
                                   stoa_exception **out_exception);

STOA_END_DECLS

#endif /* STOA_CALL_H */
