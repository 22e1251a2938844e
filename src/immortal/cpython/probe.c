#include "immortal/cpython/probe.h"

#include <stdio.h>

#include "immortal/canonical.h"
#include "immortal/exceptions.h"
#include "immortal/hash.h"
#include "immortal/image.h"
#include "immortal/lookup.h"

typedef struct probe {
    stoa_batch *batch;
    char fact[160]; /* the first one that does not hold */
} probe;

static bool
fact(probe *p, bool holds, const char *what, const char *detail)
{
    if (!holds && p->fact[0] == '\0') {
        snprintf(p->fact, sizeof p->fact, "%s of %s differs from what was expected", detail, what);
    }
    return holds;
}

/* Are bytes [from, to) of both the same? */
static bool
same(probe *p, const void *real, const void *image, size_t from, size_t to, const char *what, const char *detail)
{
    return fact(p, memcmp((const char *)real + from, (const char *)image + from, to - from) == 0, what, detail);
}

/* type, size as sys.getsizeof has it (gc head apart), hash. `hash_field`: offset of a cached hash, or 0. */
static bool
common(probe *p, PyObject *real, PyObject *image, const char *what)
{
    Py_hash_t hash = PyObject_Hash(real), ours = 0;
    if (hash == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return fact(p, stoa__hash_of(image, &ours) == STOA_ETYPE, what, "hash");
    }
    return fact(p, image->ob_type == real->ob_type, what, "type") &
           fact(p, stoa__shared_hash(image, &ours) && ours == hash, what, "hash") &
           fact(p, stoa__hash_of(real, &ours) == STOA_OK && ours == hash, what, "hash") &
           fact(p, PyObject_Hash(image) == hash, what, "hash of the image") &
           fact(p, PyObject_RichCompareBool(real, image, Py_EQ) == 1, what, "equality");
}

static bool
probe_str(probe *p, const char *utf8, const char *what)
{
    PyObject *real = PyUnicode_FromString(utf8);
    PyObject *image = stoa__make_str_utf8(p->batch, utf8, strlen(utf8));
    if (real == NULL || image == NULL) {
        Py_XDECREF(real);
        return false;
    }
    common(p, real, image, what);
    PyASCIIObject *r = (PyASCIIObject *)real, *i = (PyASCIIObject *)image;
    fact(p,
         i->state.kind == r->state.kind && i->state.ascii == r->state.ascii &&
             i->state.compact == r->state.compact,
         what, "state");
    fact(p, PyUnicode_DATA(image) == stoa__str_data(image), what, "data address");
    same(p, real, image, offsetof(PyASCIIObject, length), offsetof(PyASCIIObject, state), what,
         "length or hash");
    size_t head = r->state.ascii ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject);
    same(p, real, image, head, head + (size_t)(r->length + 1) * r->state.kind, what, "characters");
    Py_ssize_t real_size, image_size;
    const char *real_utf8 = PyUnicode_AsUTF8AndSize(real, &real_size);
    const char *image_utf8 = PyUnicode_AsUTF8AndSize(image, &image_size);
    fact(p,
         real_utf8 && image_utf8 && real_size == image_size && stoa__in_heap(image_utf8) &&
             memcmp(real_utf8, image_utf8, (size_t)real_size + 1) == 0,
         what, "UTF-8 form");
    Py_DECREF(real);
    return true;
}

static bool
probe_int(probe *p, const char *decimal)
{
    PyObject *real = PyLong_FromString(decimal, NULL, 10);
    if (real == NULL) {
        return false;
    }
    size_t count = stoa__int_digit_count(real);
    PyObject *image = stoa__make_int_digits(p->batch, stoa__int_is_negative(real), stoa__int_digits(real),
                                            count);
    if (image != NULL) {
        common(p, real, image, "int");
        same(p, real, image, sizeof(PyObject), STOA_INT_HEAD + count * sizeof(digit), "int", "digits or sign");
    }
    Py_DECREF(real);
    return image != NULL;
}

/* Objects without pointers to objects of their own: all bytes from `from` to `to` are the same. */
static bool
probe_plain(probe *p, PyObject *real, PyObject *image, size_t from, size_t to, const char *what)
{
    bool made = real != NULL && image != NULL;
    if (made) {
        common(p, real, image, what);
        same(p, real, image, from, to, what, "fields");
        fact(p, (size_t)real->ob_type->tp_basicsize >= to || real->ob_type->tp_itemsize != 0, what, "size");
        fact(p,
             (PyType_HasFeature(real->ob_type, Py_TPFLAGS_HAVE_GC) != 0) ==
                 (real->ob_type == &PyTuple_Type || real->ob_type == &PySlice_Type),
             what, "kind of memory");
    }
    Py_XDECREF(real);
    return made;
}

static bool
probe_scalars(probe *p)
{
    PyObject *three = stoa__canonical_int(3), *none = Py_None;
    PyObject *range_args = Py_BuildValue("(iii)", -5, 30, 3);
    PyObject *range = range_args ? PyObject_CallObject((PyObject *)&PyRange_Type, range_args) : NULL;
    Py_XDECREF(range_args);
    bool ok = range != NULL;
    if (ok) {
        stoa_range *r = (stoa_range *)range;
        PyObject *image = stoa__make_range(p->batch, r->start, r->stop, r->step, r->length);
        ok = probe_plain(p, range, image, sizeof(PyObject), sizeof(stoa_range), "range");
    }
    PyObject *bytes = PyBytes_FromStringAndSize("prob\0e bytes", 12), *pair = PyTuple_Pack(2, three, none);
    size_t items = offsetof(PyTupleObject, ob_item);
    PyObject *pair_items[2] = {three, none};
    if (bytes != NULL && PyObject_Hash(bytes) == -1) {
        PyErr_Clear();
    }
    if (pair != NULL && PyObject_Hash(pair) == -1) { /* fills in the hash field, where there is one */
        PyErr_Clear();
    }
    ok &= probe_plain(p, bytes, stoa__make_bytes(p->batch, "prob\0e bytes", 12, -1), sizeof(PyObject),
                      STOA_BYTES_HEAD + 13, "bytes");
    ok &= probe_plain(p, pair, stoa__make_tuple(p->batch, pair_items, 2), sizeof(PyObject),
                      items + sizeof pair_items, "tuple");
    ok &= probe_plain(p, PySlice_New(three, none, three), stoa__make_slice(p->batch, three, none, three),
                      sizeof(PyObject), sizeof(PySliceObject), "slice");
    ok &= probe_plain(p, PyFloat_FromDouble(-0.3e-7), stoa__make_float(p->batch, -0.3e-7), sizeof(PyObject),
                      sizeof(PyFloatObject), "float");
    ok &= probe_plain(p, PyFloat_FromDouble(1e300), stoa__make_float(p->batch, 1e300), sizeof(PyObject),
                      sizeof(PyFloatObject), "float");
    ok &= probe_plain(p, PyComplex_FromDoubles(1.5, -2), stoa__make_complex(p->batch, 1.5, -2),
                      sizeof(PyObject), sizeof(PyComplexObject), "complex");
    return ok;
}

/* ---- frozenset ----------------------------------------------------------------------------------------------------- */

static bool
probe_set(probe *p, int count)
{
    PyObject *members[40];
    PyObject *list = PyList_New(0);
    bool ok = list != NULL;
    for (int i = 0; ok && i < count; i++) {
        members[i] = stoa__canonical_int(i * 5);
        ok = members[i] != NULL && PyList_Append(list, members[i]) == 0;
    }
    PyObject *real = ok ? PyFrozenSet_New(list) : NULL;
    PyObject *image = ok ? stoa__make_frozenset(p->batch, members, count) : NULL;
    if (real != NULL && image != NULL) {
        common(p, real, image, "frozenset");
        PySetObject *i = (PySetObject *)image, *r = (PySetObject *)real;
        fact(p, i->used == r->used && i->fill == r->fill && i->hash == r->hash && i->finger == 0, "frozenset",
             "fields");
        if (i->mask == r->mask) { /* same size, same order of insertion: the same table */
            fact(p, memcmp(i->table, r->table, (size_t)(r->mask + 1) * sizeof(setentry)) == 0, "frozenset",
                 "table");
        }
        PyObject *real_ref = PyWeakref_NewRef(real, NULL), *image_ref = PyWeakref_NewRef(image, NULL);
        fact(p, image_ref == i->weakreflist && real_ref == r->weakreflist, "frozenset",
             "list of weak references");
        if (real_ref != NULL && image_ref != NULL) {
            const PyWeakReference *rr = (PyWeakReference *)real_ref, *ir = (PyWeakReference *)image_ref;
            fact(p,
                 ir->ob_base.ob_type == rr->ob_base.ob_type && rr->wr_object == real &&
                     ir->wr_object == image && ir->wr_callback == rr->wr_callback &&
                     ir->vectorcall == rr->vectorcall && rr->wr_prev == NULL && rr->wr_next == NULL &&
                     PyObject_Hash(image_ref) == PyObject_Hash(image),
                 "weakref", "fields");
            ok = (size_t)rr->ob_base.ob_type->tp_basicsize == sizeof(PyWeakReference);
            fact(p, ok, "weakref", "size");
        }
        for (int k = 0; k < count; k++) {
            fact(p, PySet_Contains(image, members[k]) == 1 && stoa__frozenset_has(real, members[k]),
                 "frozenset", "order");
        }
        Py_XDECREF(real_ref);
    }
    ok = real != NULL && image != NULL;
    Py_XDECREF(real);
    Py_XDECREF(list);
    return ok;
}

/* ---- mapping ------------------------------------------------------------------------------------------------------- */

static PyObject *
real_mapping(PyObject *dict)
{
#if STOA_HAS_FROZENDICT
    return PyFrozenDict_New(dict);
#else
    return PyDictProxy_New(dict);
#endif
}

/* Builds a mapping both ways from `count` pairs, str keys or int keys. */
static bool
probe_mapping(probe *p, int count, bool str_keys)
{
    PyObject *pairs[2 * 200];
    PyObject *dict = PyDict_New();
    bool ok = dict != NULL;
    for (int i = 0; ok && i < count; i++) {
        char name[24];
        int size = snprintf(name, sizeof name, "key %d", i);
        pairs[2 * i] = str_keys ? stoa__make_str(p->batch, 1, true, name, size, -1)
                                : stoa__make_int64(p->batch, 7777 * i);
        pairs[2 * i + 1] = stoa__canonical_int(i);
        ok = pairs[2 * i] != NULL && PyDict_SetItem(dict, pairs[2 * i], pairs[2 * i + 1]) == 0;
    }
    PyObject *real = ok ? real_mapping(dict) : NULL;
    PyObject *image = ok ? stoa__make_mapping(p->batch, pairs, count) : NULL;
    ok = real != NULL && image != NULL;
    if (ok) {
        const char *what = str_keys ? "mapping with str keys" : "mapping with int keys";
        const PyDictObject *r = stoa__mapping_dict(real), *i = stoa__mapping_dict(image);
        const stoa_keys *rk = stoa__dict_keys(r), *ik = stoa__dict_keys(i);
        common(p, real, image, what);
        fact(p,
             Py_TYPE(r) == Py_TYPE(i) && r->ma_used == i->ma_used && r->ma_values == NULL &&
                 i->ma_values == NULL,
             what, "dict");
        fact(p,
             (size_t)real->ob_type->tp_basicsize ==
                 (STOA_HAS_FROZENDICT ? sizeof(PyDictObject) + sizeof(Py_hash_t) : sizeof(stoa_proxy)),
             what, "size");
        bool same_head = rk->refcnt == ik->refcnt && rk->log2_size == ik->log2_size &&
                         rk->log2_index_bytes == ik->log2_index_bytes && rk->kind == ik->kind &&
                         rk->nentries == ik->nentries && rk->usable == ik->usable;
        if (fact(p, same_head, what, "head of the keys")) {
            size_t indices = (size_t)1 << rk->log2_index_bytes;
            size_t entry = rk->kind == STOA_KEYS_STR ? sizeof(stoa_str_entry) : sizeof(stoa_entry);
            same(p, rk, ik, sizeof(stoa_keys), sizeof(stoa_keys) + indices + (size_t)count * entry, what,
                 "table");
        }
        for (int k = 0; k < count; k++) {
            fact(p, stoa__mapping_find(real, pairs[2 * k]) == pairs[2 * k + 1], what, "order of probing");
        }
    }
    Py_XDECREF(real);
    Py_XDECREF(dict);
    return ok;
}

/* ---- dates --------------------------------------------------------------------------------------------------------- */

static bool
probe_dates(probe *p)
{
#if STOA_NATIVE_DATES
    static const struct {
        const char *type, *arguments;
    } dates[] = {{"date", "(iii)"}, {"time", "(iii)"}, {"datetime", "(iii)"}, {"timedelta", "(iii)"}};
    PyObject *module = PyImport_ImportModule("_datetime");
    bool ok = module != NULL;
    for (size_t i = 0; ok && i < sizeof dates / sizeof dates[0]; i++) {
        PyObject *real = PyObject_CallMethod(module, dates[i].type, dates[i].arguments, 11, 12, 13);
        ok = real != NULL;
        PyObject *image = ok ? stoa__make_datetime_like(p->batch, real) : NULL;
        ok = image != NULL;
        if (ok) {
            common(p, real, image, dates[i].type);
            fact(p, stoa__type_is_static(real->ob_type), dates[i].type, "lifetime");
        }
        Py_XDECREF(real);
    }
    Py_XDECREF(module);
    return ok;
#else
    (void)p;
    return true;
#endif
}

int
stoa__probe(void)
{
    stoa_batch batch;
    stoa_err err = stoa__batch_begin(&batch, NULL, 0);
    if (err != STOA_OK) {
        stoa__raise(err);
        return -1;
    }
    probe p = {&batch, ""};
    bool made = probe_str(&p, "some_text of ASCII", "str") && probe_str(&p, "caf\xc3\xa9", "Latin-1 str") &&
                probe_str(&p, "\xe2\x82\xac and more", "str of two bytes a character") &&
                probe_str(&p, "\xf0\x9f\x8c\x8d!", "str of four bytes a character") &&
                probe_int(&p, "123456") && probe_int(&p, "-98765432109876543210987654321") &&
                probe_scalars(&p);
    for (int count = 0; made && count <= 12; count += 4) {
        made = probe_set(&p, count);
    }
    static const int sizes[] = {1, 5, 6, 10, 11, 100, 171, 200};
    for (size_t i = 0; made && i < sizeof sizes / sizeof sizes[0]; i++) {
        made = probe_mapping(&p, sizes[i], true) && probe_mapping(&p, sizes[i], false);
    }
    made = made && probe_dates(&p);
    stoa__batch_abort(&batch);
    if (p.fact[0] != '\0') {
        PyErr_Clear();
        stoa__raise_unsupported(p.fact);
        return -1;
    }
    if (!made) {
        if (!PyErr_Occurred()) {
            stoa__raise(batch.err != STOA_OK ? batch.err : STOA_ENOMEM);
        }
        return -1;
    }
    return 0;
}
