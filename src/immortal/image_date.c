/* Images of date, time, datetime, timedelta. */
#include "immortal/image.h"

#include "immortal/image_parts.h"

#if STOA_NATIVE_DATES
#define _PY_DATETIME_IMPL /* the structs only, no static pointer of our own */
#include <datetime.h>

typedef struct fields {
    const PyTypeObject *type;
    size_t size;             /* of the object */
    unsigned char bytes[24]; /* what follows the hash code, padding zeroed */
} fields;

#define FIELDS_AT (sizeof(PyObject) + sizeof(Py_hash_t))
_Static_assert(offsetof(PyDateTime_Delta, days) == FIELDS_AT &&
                   offsetof(PyDateTime_Date, hastzinfo) == FIELDS_AT &&
                   offsetof(PyDateTime_Date, data) == FIELDS_AT + 1 &&
                   offsetof(PyDateTime_Time, fold) == FIELDS_AT + 7 &&
                   offsetof(PyDateTime_DateTime, fold) == FIELDS_AT + 11 &&
                   offsetof(PyDateTime_Time, tzinfo) == 32 && offsetof(PyDateTime_DateTime, tzinfo) == 40 &&
                   sizeof(PyDateTime_DateTime) <= FIELDS_AT + 24,
               "the datetime types are laid out otherwise");

/* Reads the fields of an exact instance. Naive times are allocated without room for a time zone. */
static stoa_err
read_fields(PyObject *source, fields *f)
{
    const PyTypeObject *type = source->ob_type;
    const unsigned char *at = (const unsigned char *)source + FIELDS_AT;
    memset(f, 0, sizeof *f);
    f->type = type;
    if (type == stoa__runtime.timedelta) {
        f->size = sizeof(PyDateTime_Delta);
        memcpy(f->bytes, at, 3 * sizeof(int));
        return STOA_OK;
    }
    if (type == stoa__runtime.date) {
        f->size = sizeof(PyDateTime_Date);
        memcpy(f->bytes + 1, at + 1, _PyDateTime_DATE_DATASIZE);
        return STOA_OK;
    }
    bool is_time = type == stoa__runtime.time;
    if (!is_time && type != stoa__runtime.datetime) {
        return stoa__fail(STOA_ETYPE, "'%.200s' is none of the datetime module's own types", type->tp_name);
    }
    bool aware = at[0] != 0;
    size_t tzinfo_at = is_time ? offsetof(PyDateTime_Time, tzinfo) : offsetof(PyDateTime_DateTime, tzinfo);
    f->size = is_time ? sizeof(_PyDateTime_BaseTime) : sizeof(_PyDateTime_BaseDateTime);
    memcpy(f->bytes, at, is_time ? 8 : 12); /* flag, data, fold */
    f->bytes[0] = aware;
    if (aware) {
        PyObject *zone;
        memcpy(&zone, (const char *)source + tzinfo_at, sizeof zone);
        if (zone != stoa__runtime.utc) {
            return stoa__fail(
                STOA_ETYPE,
                "a '%.200s' with a time zone other than datetime.timezone.utc cannot be shared; use "
                ".astimezone(datetime.timezone.utc)",
                type->tp_name);
        }
        memcpy(f->bytes + (tzinfo_at - FIELDS_AT), &zone, sizeof zone);
        f->size = is_time ? sizeof(PyDateTime_Time) : sizeof(PyDateTime_DateTime);
    }
    return STOA_OK;
}

static bool
same_date(const void *candidate, const void *wanted)
{
    const fields *f = wanted;
    return ((const PyObject *)candidate)->ob_type == f->type &&
           memcmp((const char *)candidate + FIELDS_AT, f->bytes, f->size - FIELDS_AT) == 0;
}

stoa_shared *
stoa__make_datetime_like(stoa_batch *batch, PyObject *source)
{
    fields f;
    batch->err = read_fields(source, &f);
    if (batch->err != STOA_OK) {
        return NULL;
    }
    stoa_key key = {0};
    if (stoa__interning(batch)) {
        key = stoa__key(STOA_TAG_DATE ^ (uint64_t)(uintptr_t)f.type, f.bytes, sizeof f.bytes);
        stoa_shared *found = stoa__find_image(batch, key, same_date, &f);
        if (found != NULL) {
            return found;
        }
    }
    Py_hash_t hash = PyObject_Hash(source);
    if (hash == -1) {
        return stoa__image_fail(batch, STOA_EPYTHON, "hash() of a '%.200s' raised", source->ob_type->tp_name);
    }
    stoa_shared *object = stoa__batch_alloc(batch, f.size);
    if (object == NULL) {
        return NULL;
    }
    char *image = stoa__rw(object);
    stoa__lay_head(image, f.type);
    memcpy(image + sizeof(PyObject), &hash, sizeof hash);
    memcpy(image + FIELDS_AT, f.bytes, f.size - FIELDS_AT);
    if (stoa__interning(batch)) {
        stoa__intern_add(batch, key, object);
    }
    return object;
}

#else

stoa_shared *
stoa__make_datetime_like(stoa_batch *batch, PyObject *source)
{
    return stoa__image_fail(
        batch, STOA_ETYPE,
        "'%.200s' cannot be shared on Python 3.12, where each interpreter has datetime types of its own; "
        "share .isoformat() or .timestamp(), or use Python 3.13 or newer",
        source->ob_type->tp_name);
}

#endif
