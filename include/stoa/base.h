/* \file stoa/base.h
 * \brief What every other header of Stoa needs: visibility, and the words used for ownership.
 *
 * Ownership words, used in all headers:
 *   owned     the receiver must release it with the named function
 *   borrowed  valid only as long as the thing it came from; never released
 *   shared    lives in the shared heap: immutable, usable from every thread, never released one by one
 *   out_*     written by the callee on success only (unless the function says otherwise), owned by the caller
 * A `const T *` argument may be used by several threads at the same time; a `T *` argument may not.
 */
#ifndef STOA_BASE_H
#define STOA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define STOA_API __attribute__((visibility("default")))
#define STOA_NODISCARD __attribute__((warn_unused_result))
#define STOA_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define STOA_API
#define STOA_NODISCARD
#define STOA_PRINTF(fmt, first)
#endif

#ifdef __cplusplus
#define STOA_BEGIN_DECLS extern "C" {
#define STOA_END_DECLS }
#else
#define STOA_BEGIN_DECLS
#define STOA_END_DECLS
#endif

#endif /* STOA_BASE_H */
