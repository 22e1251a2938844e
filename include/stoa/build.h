/* \file stoa/build.h
 * \brief Making shared objects from C data, with no GIL and no interpreter.
 *
 * A builder belongs to one thread at a time; any number of builders work at once, on any threads, also on threads that
 * Python has never seen. What a builder makes becomes visible as a whole when it is finished, and not at all when it
 * is aborted: an aborted builder leaves the heap as it was.
 *
 *     stoa_builder *b;
 *     if (stoa_builder_new(NULL, 0, &b) != STOA_OK) …
 *     stoa_begin_mapping(b);
 *     stoa_push_text(b, "answer", 6);
 *     stoa_push_int64(b, 42);
 *     stoa_end(b);
 *     const stoa_object *answer;
 *     if (stoa_builder_finish(b, &answer) == STOA_OK) stoa_publish("config", answer);
 *     stoa_builder_free(b);
 *
 * Two ways that mix freely. *Push*: stoa_begin_* … stoa_push_* … stoa_end builds containers as a parser meets them,
 * nested to any depth, without the caller keeping arrays. *Make*: stoa_make_* returns each object at once, for callers
 * who already have arrays of children; such objects can be pushed, too (stoa_push_object).
 * Objects that the builder made are valid children for the same builder at once, and for others after finish; children
 * from elsewhere must be shared already, in the default region or the builder's own.
 *
 * Errors: a call that fails has changed nothing; the builder goes on from where it was, and the message says what was
 * wrong. STOA_ENOMEM, STOA_EINVAL (NULL, an unusable child) and STOA_EFORKED (the builder was opened before a fork) are
 * possible everywhere and not repeated below.
 */
#ifndef STOA_BUILD_H
#define STOA_BUILD_H

#include "stoa/region.h"
#include "stoa/value.h"

STOA_BEGIN_DECLS

typedef struct stoa_builder stoa_builder;

#define STOA_BUILD_NO_INTERN 1u /* equal values are not made one object: faster, and larger */

/* Opens a builder in `region` (NULL: the default). *out_builder is owned: stoa_builder_free. Any thread.
 * STOA_ESTATE: no Python has been prepared in this process yet (stoa_runtime_open, or `import stoa`), so that the
 * layout of its objects is not known. STOA_EGONE: the region is retired. */
STOA_API stoa_err stoa_builder_new(stoa_region *region, unsigned flags, stoa_builder **out_builder);

/* Makes everything built so far visible. `out_object` (may be NULL, then objects are reached by what make returned) is
 * the one object on the push stack. Afterwards the builder is empty and may be used again.
 * STOA_ESTATE, and nothing is finished: a container is still open, or the push stack does not hold exactly one object
 * (none is right when out_object is NULL). */
STOA_API stoa_err stoa_builder_finish(stoa_builder *builder, const stoa_object **out_object);

/* Forgets everything built since the last finish; objects it has returned since then are gone. The builder may be used
 * again. NULL: nothing happens. */
STOA_API void stoa_builder_abort(stoa_builder *builder);

/* Aborts what is not finished, and releases the builder. NULL: nothing happens. */
STOA_API void stoa_builder_free(stoa_builder *builder);

/* Bytes of heap that the unfinished work has taken. */
STOA_API size_t stoa_builder_bytes(const stoa_builder *builder);

/* ---- push: values go into the innermost open container, or on the stack when none is open ------------------------- */

STOA_API stoa_err stoa_push_none(stoa_builder *builder);
STOA_API stoa_err stoa_push_bool(stoa_builder *builder, bool value);
STOA_API stoa_err stoa_push_int64(stoa_builder *builder, int64_t value);
STOA_API stoa_err stoa_push_uint64(stoa_builder *builder, uint64_t value);
/* Two's complement (is_signed) or plain binary, little-endian, any size; size 0 is the number 0. */
STOA_API stoa_err stoa_push_int_bytes(stoa_builder *builder, const void *bytes, size_t size, bool is_signed);
STOA_API stoa_err stoa_push_double(stoa_builder *builder, double value);
/* STOA_EUTF8: not valid UTF-8 (surrogates, overlong forms and values over U+10FFFF are not); the message has the offset. */
STOA_API stoa_err stoa_push_text(stoa_builder *builder, const char *utf8, size_t size);
STOA_API stoa_err stoa_push_bytes(stoa_builder *builder, const void *bytes, size_t size);
/* An object that is shared already, or that this builder made. */
STOA_API stoa_err stoa_push_object(stoa_builder *builder, const stoa_object *object);

STOA_API stoa_err stoa_begin_tuple(stoa_builder *builder);
/* Pushed: key, value, key, value … A later equal key replaces the earlier one's value, as in dict(). */
STOA_API stoa_err stoa_begin_mapping(stoa_builder *builder);
STOA_API stoa_err stoa_begin_set(stoa_builder *builder);
/* Closes the innermost open container, which becomes one value of the next outer one. STOA_ESTATE: none is open, or a
 * mapping has a key without a value. STOA_ETYPE: a key or member is unhashable; the container stays open. */
STOA_API stoa_err stoa_end(stoa_builder *builder);

/* Open containers, and values in the innermost one (or on the bare stack). Out arguments may be NULL. */
STOA_API void stoa_builder_depth(const stoa_builder *builder, size_t *out_open, size_t *out_values);

/* ---- make: each returns its object ------------------------------------------------------------------------------- */

STOA_API stoa_err stoa_make_none(stoa_builder *builder, const stoa_object **out_object);
STOA_API stoa_err stoa_make_bool(stoa_builder *builder, bool value, const stoa_object **out_object);
STOA_API stoa_err stoa_make_int64(stoa_builder *builder, int64_t value, const stoa_object **out_object);
STOA_API stoa_err stoa_make_uint64(stoa_builder *builder, uint64_t value, const stoa_object **out_object);
STOA_API stoa_err stoa_make_int_bytes(stoa_builder *builder, const void *bytes, size_t size, bool is_signed,
                                      const stoa_object **out_object);
STOA_API stoa_err stoa_make_double(stoa_builder *builder, double value, const stoa_object **out_object);
STOA_API stoa_err stoa_make_text(stoa_builder *builder, const char *utf8, size_t size,
                                 const stoa_object **out_object);
STOA_API stoa_err stoa_make_bytes(stoa_builder *builder, const void *bytes, size_t size,
                                  const stoa_object **out_object);
STOA_API stoa_err stoa_make_tuple(stoa_builder *builder, const stoa_object *const *items, size_t count,
                                  const stoa_object **out_object);
/* STOA_ETYPE: a member is unhashable. Equal members count once. */
STOA_API stoa_err stoa_make_set(stoa_builder *builder, const stoa_object *const *members, size_t count,
                                const stoa_object **out_object);
/* STOA_ETYPE: a key is unhashable. Order of the arrays; a later equal key replaces the earlier one's value. */
STOA_API stoa_err stoa_make_mapping(stoa_builder *builder, const stoa_object *const *keys,
                                    const stoa_object *const *values, size_t count,
                                    const stoa_object **out_object);

STOA_END_DECLS

#endif /* STOA_BUILD_H */
