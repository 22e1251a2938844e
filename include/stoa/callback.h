/* \file stoa/callback.h
 * \brief C functions that Python code of any interpreter calls.
 *
 * A callback is a C function with a pointer of the host's. It belongs to no interpreter: wherever its handle goes (as an
 * argument, by a name, from one interpreter to another), it arrives as a callable, `stoa.Callback`, the same one
 * for the same callback. It lives until the last handle, name and callable of it is gone; then its finaliser is called.
 *
 *     static stoa_err
 *     lookup_price(const stoa_callback_call *call)
 *     {
 *         if (call->count != 1 || call->args[0].kind != STOA_DATA_TEXT) {
 *             return stoa_callback_raise(call, "builtins.TypeError", "price() takes one str");
 *         }
 *         return stoa_callback_return(call, stoa_data_int(price_of(call->data, call->args[0].as.text.at)));
 *     }
 *     stoa_callback_options options = {.size = sizeof(options), .name = "price", .data = prices, .finalise = free};
 *     stoa_handle price;
 *     stoa_callback_new(lookup_price, &options, &price);
 *     stoa_handle_publish("price", price);                    // Python: stoa.lookup("price")("apple")
 */
#ifndef STOA_CALLBACK_H
#define STOA_CALLBACK_H

#include "stoa/handle.h"

STOA_BEGIN_DECLS

/* One call, as the C function sees it: all of it is valid until the function returns. */
typedef struct stoa_callback_call {
    void *data;            /* the options' */
    stoa_interp *interp;   /* which interpreter calls: borrowed */
    const stoa_data *args; /* borrowed. What is no other kind is a handle: stoa_handle_dup keeps it */
    size_t count;
    stoa_data *result; /* private: stoa_callback_return */
} stoa_callback_call;

/* Runs on the thread that the Python code runs on, several threads at once where several call. No GIL is held (see
 * STOA_CALLBACK_WITH_GIL): it may block, and may call all of Stoa, the calling interpreter included.
 * Returns STOA_OK, and the Python code gets what stoa_callback_return was given, else None; any other code is an
 * exception there: what stoa_callback_raise said; for STOA_EPYTHON of a call of Stoa the exception of that call; else the
 * Python class that fits the code, with stoa_error_message() if that is of this code. C++ exceptions must not leave it. */
typedef stoa_err (*stoa_callback_function)(const stoa_callback_call *call);

#define STOA_CALLBACK_WITH_GIL \
    1u /* the function is short and does not block: the GIL stays held, Python's C API may be used */

typedef struct stoa_callback_options {
    size_t size;                  /* sizeof(stoa_callback_options); may grow at its end */
    const char *name;             /* for people, UTF-8, at most 63 bytes count; NULL: "callback" */
    unsigned flags;               /* STOA_CALLBACK_WITH_GIL */
    void *data;                   /* for the function and the finaliser; never looked at */
    void (*finalise)(void *data); /* NULL: none. Called once, when nobody can call the function any more: on whatever
                                    * thread was last, perhaps with a GIL held. It must not block or call Python */
} stoa_callback_options;

/* Makes one. *out_handle is owned: stoa_handle_release. `options` NULL: all zero.
 * Outcomes: STOA_OK; on any other the finaliser is not called: `data` stays the host's. STOA_EINVAL: function or out_handle is
 * NULL, the size is of no known version, an unknown flag. STOA_EUTF8: the name. STOA_ESTATE: the runtime is not open.
 * STOA_ENOMEM. Threads: any, no GIL needed. */
STOA_API stoa_err stoa_callback_new(stoa_callback_function function, const stoa_callback_options *options,
                                    stoa_handle *out_handle);

/* Inside the function: what the Python code gets. Copied at once: text, bytes and handles stay the caller's. Said twice, the
 * last one counts. STOA_OK, to be returned; STOA_EINVAL, STOA_EGONE: not a value, a handle that is not held; STOA_ENOMEM. */
STOA_API stoa_err stoa_callback_return(const stoa_callback_call *call, stoa_data value);

/* Inside the function: raises `type`, as "builtins.ValueError" or "package.module:Outer.Inner", with a message. Where the
 * interpreter cannot find the class, it is stoa.RemoteError with .type_name. Returns STOA_EPYTHON, to be returned. */
STOA_API stoa_err stoa_callback_raise(const stoa_callback_call *call, const char *type, const char *format,
                                      ...) STOA_PRINTF(3, 4);

STOA_END_DECLS

#endif /* STOA_CALLBACK_H */
