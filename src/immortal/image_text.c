/* Images of str. */
#include "immortal/image.h"

#include <stdlib.h>

#include "immortal/image_parts.h"
#include "immortal/utf8.h"

typedef struct text {
    const void *characters;
    Py_ssize_t length;
    int kind;
    bool ascii;
} text;

static bool
same_text(const void *candidate, const void *wanted)
{
    const PyASCIIObject *str = candidate;
    const text *t = wanted;
    return str->ob_base.ob_type == &PyUnicode_Type && str->length == t->length &&
           str->state.kind == (unsigned)t->kind && str->state.ascii == t->ascii &&
           memcmp(stoa__str_data(str), t->characters, (size_t)t->length * (size_t)t->kind) == 0;
}

/* The runtime's own object of a text of no character or one, or NULL. */
static inline stoa_shared *
canonical_character(const text *t)
{
    if (t->kind != 1 || t->length > 1) {
        return NULL;
    }
    return t->length == 0 ? stoa__canonical.empty_str
                          : stoa__canonical.chars[*(const unsigned char *)t->characters];
}

/* The runtime's own object of a longer text, or NULL. */
static inline stoa_shared *
canonical_text(const text *t)
{
    return t->ascii ? stoa__canonical_string(t->characters, (size_t)t->length) : NULL;
}

static stoa_shared *
lay_ascii(stoa_batch *batch, const text *t, Py_hash_t hash)
{
    size_t size = (size_t)t->length;
    stoa_shared *object = stoa__batch_alloc(batch, sizeof(PyASCIIObject) + size + 1);
    if (object == NULL) {
        return NULL;
    }
    PyASCIIObject *image = stoa__rw(object);
    stoa__lay_str(image, 1, true, t->length, hash);
    memcpy(image + 1, t->characters, size);
    return object;
}

/* The UTF-8 form goes into the same block, behind the characters' terminating zero, and has a zero of its own. */
static stoa_shared *
lay_wide(stoa_batch *batch, const text *t, Py_hash_t hash)
{
    size_t size = (size_t)t->length * (size_t)t->kind;
    size_t utf8 = stoa__utf8_size(t->kind, t->characters, (size_t)t->length);
    size_t utf8_at = sizeof(PyCompactUnicodeObject) + size + (size_t)t->kind;
    stoa_shared *object = stoa__batch_alloc(batch, utf8_at + (utf8 == SIZE_MAX ? 0 : utf8 + 1));
    if (object == NULL) {
        return NULL;
    }
    PyCompactUnicodeObject *image = stoa__rw(object);
    stoa__lay_str(&image->_base, t->kind, false, t->length, hash);
    memcpy(image + 1, t->characters, size);
    if (utf8 != SIZE_MAX) { /* a lone surrogate: no UTF-8, and CPython raises without storing */
        image->utf8_length = (Py_ssize_t)utf8;
        image->utf8 = (char *)object + utf8_at;
        stoa__utf8_encode(t->kind, t->characters, (size_t)t->length, (char *)image + utf8_at);
    }
    return object;
}

stoa_key
stoa__key_of_str(int kind, bool ascii, const void *characters, Py_ssize_t length)
{
    return stoa__key(STOA_TAG_STR + (uint64_t)kind * 2 + ascii, characters, (size_t)length * (size_t)kind);
}

stoa_shared *
stoa__make_str(stoa_batch *batch, int kind, bool ascii, const void *characters, Py_ssize_t length,
               Py_hash_t hash)
{
    return stoa__make_str_keyed(batch, NULL, kind, ascii, characters, length, hash);
}

stoa_shared *
stoa__make_str_keyed(stoa_batch *batch, const stoa_key *known, int kind, bool ascii, const void *characters,
                     Py_ssize_t length, Py_hash_t hash)
{
    text t = {characters, length, kind, ascii};
    stoa_shared *object = canonical_character(&t);
    if (object != NULL) {
        return object;
    }
    if ((size_t)length > STOA_LARGEST) {
        return stoa__no_room(batch, "str");
    }
    size_t size = (size_t)length * (size_t)kind;
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        key = known != NULL ? *known : stoa__key_of_str(kind, ascii, characters, length);
        object = stoa__find_image(batch, key, same_text, &t);
        if (object != NULL) {
            return object;
        }
    }
    object = canonical_text(&t); /* now, since most of what is found is found above: these are in no table of ours */
    if (object != NULL) {
        return object;
    }
    if (hash == -1) {
        hash = stoa__hash_bytes(characters, size);
    }
    object = ascii ? lay_ascii(batch, &t, hash) : lay_wide(batch, &t, hash);
    if (object != NULL && stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

stoa_shared *
stoa__make_str_utf8(stoa_batch *batch, const char *utf8, size_t size)
{
    stoa_text_shape shape;
    if (size > STOA_LARGEST) {
        return stoa__no_room(batch, "str");
    }
    if (!stoa__utf8_shape(utf8, size, &shape)) {
        return stoa__image_fail(batch, STOA_EUTF8,
                                "the text is not UTF-8: byte 0x%02x at offset %zu of %zu begins no character",
                                (unsigned char)utf8[shape.length], shape.length, size);
    }
    if (shape.ascii) {
        return stoa__make_str(batch, 1, true, utf8, (Py_ssize_t)size, -1);
    }
    uint32_t few[256];
    void *characters = few;
    if (shape.length * (size_t)shape.kind > sizeof few) {
        characters = malloc(shape.length * (size_t)shape.kind);
        if (characters == NULL) {
            return stoa__image_fail(batch, STOA_ENOMEM, "no memory to decode a text of %zu characters",
                                    shape.length);
        }
    }
    stoa__utf8_decode(utf8, size, shape.kind, characters);
    stoa_shared *object = stoa__make_str(batch, shape.kind, false, characters, (Py_ssize_t)shape.length, -1);
    if (characters != few) {
        free(characters);
    }
    return object;
}
