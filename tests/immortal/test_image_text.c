#include "immortal/shared.h"

#include "immortal/image.h"

static const char *const texts[] = {
    "",
    "a",
    "\x7f",
    "ab",
    "__init__",
    "__len__",
    "self",
    "plain text",
    "caf\xc3\xa9",
    "\xc3\xa9",
    "\xc3\xbf\xc3\xbe",
    "\xe2\x82\xac",
    "\xe2\x82\xac!",
    "\xf0\x9f\x8c\x8d",
    "mixed \xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\x8d",
};

static void
test_like_real_ones(void **state)
{
    (void)state;
    for (int intern = 0; intern < 2; intern++) {
        stoa_batch batch = stoa_test_batch(intern ? STOA_BATCH_INTERN : 0);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            PyObject *image = stoa__make_str_utf8(&batch, texts[i], strlen(texts[i]));
            PyObject *real = PyUnicode_FromString(texts[i]);
            assert_int_equal(PyUnicode_Compare(image, real), 0);
            assert_int_equal(PyObject_Hash(image), PyObject_Hash(real));
            assert_string_equal(PyUnicode_AsUTF8(image), texts[i]);
            PyObject *again = stoa__make_str(&batch, PyUnicode_KIND(real), PyUnicode_IS_ASCII(real),
                                             PyUnicode_DATA(real), PyUnicode_GET_LENGTH(real),
                                             PyObject_Hash(real));
            assert_true(again == image || !intern);
            if (stoa__in_heap(image)) {
                stoa_test_verify(image);
                stoa_test_verify(again);
            }
            Py_DECREF(real);
        }
        stoa__batch_commit(&batch);
    }
}

static void
test_lone_surrogates(void **state)
{
    (void)state;
    PyObject *image = stoa_test_freeze("'a\\ud800b'");
    stoa_test_verify(image);
    assert_int_equal(
        stoa_test_writes(image,
                         "for _ in range(3):\n    try: x.encode()\n    except UnicodeEncodeError: pass\n"
                         "    else: raise AssertionError\nx + 'c'; hash(x); repr(x); {x: 1}[x]\n"),
        0);
    assert_null(PyUnicode_AsUTF8(image));
    PyErr_Clear();
}

static void
test_bad_utf8(void **state)
{
    (void)state;
    stoa_batch batch = stoa_test_batch(STOA_BATCH_INTERN);
    assert_null(stoa__make_str_utf8(&batch, "good\xc3(", 6));
    assert_int_equal(batch.err, STOA_EUTF8);
    assert_non_null(strstr(stoa_error_message(), "offset 4"));
    assert_null(stoa__make_str_utf8(&batch, "\xed\xa0\x80", 3));
    assert_null(stoa__make_str(&batch, 1, true, "x", PY_SSIZE_T_MAX, -1));
    assert_int_equal(batch.err, STOA_ENOMEM);
    assert_non_null(stoa__make_str_utf8(&batch, "goes on", 7));
    stoa__batch_abort(&batch);
}

/* Long ones take the way of large objects. */
static void
test_long(void **state)
{
    (void)state;
    PyObject *image = stoa_test_freeze("'long ' * 200000");
    stoa_test_verify(image);
    assert_true(stoa_test_holds(image, "x == 'long ' * 200000"));
    image = stoa_test_freeze("'l\\u20acng ' * 100000");
    stoa_test_verify(image);
    assert_true(stoa_test_holds(
        image, "x == 'l\\u20acng ' * 100000 and x.encode() == ('l\\u20acng ' * 100000).encode()"));
}

/* Everything that stores a hash, a UTF-8 form or an interning state into a str (hazards W1-W6, W16, section 2). */
static const char uses[] =
    "import sys, gc, os, re, json, types, locale, io, copy, pickle\n"
    "name, wide, euro, len_, plain = x\n"
    "for s in x:\n"
    "    sys.intern(s); hash(s); s.encode(); s + 'x'; s.upper(); s.join('ab'); s in s; s.split(); str(s); "
    "repr(s); {s: s}[s]\n"
    "    os.path.exists(s); locale.strcoll(s, s); io.StringIO(s).write('q'); copy.deepcopy(s); "
    "pickle.loads(pickle.dumps(s))\n"
    "    re.compile(re.escape(s)).match(s); json.loads(json.dumps(s)); s.translate({}); s.casefold(); "
    "sys.getsizeof(s); f'{s:>5}'\n"
    "    z = s\n    z += 'tail'\n    types.SimpleNamespace(**{s: 1}); type(s, (), {})\n"
    "class C: pass\n"
    "c = C()\n"
    "for s in (name, wide, plain):\n"
    "    setattr(c, s, 1); getattr(c, s); setattr(C, s, 2); getattr(C, s); delattr(c, s); hasattr(c, s); "
    "vars(c).get(s)\n"
    "setattr(C, len_, lambda self: 7)\nassert len(C()) == 7\n"
    "m = types.ModuleType(name)\nsetattr(m, name, 1)\ngetattr(m, name)\n"
    "def f(**k): return k\nf(**{name: 1, wide: 2})\nf.__name__ = name\n"
    "ns = {}\nexec(compile(f'{name} = {plain!r}', wide, 'exec'), ns)\nassert ns[name] == plain\n"
    "D = type(name, (), {len_: lambda self: 3, '__slots__': (name,)})\nassert len(D()) == 3\n"
    "match {name: 1}:\n    case {'shared_name': 1}: pass\n    case _: raise AssertionError\n"
    "try: __import__(name)\nexcept ImportError: pass\n"
    "for _ in range(3000):\n    q = name == plain; q = name + plain; q = f'{name}{wide}'; setattr(c, name, "
    "q); q = c.shared_name\n"
    "gc.collect()\n";

static void
test_nothing_is_written(void **state)
{
    (void)state;
    PyObject *shared = stoa_test_freeze(
        "('shared_name', 'na\\xefve', '\\u20ac and \\U0001f30d', '__len__', 'plain text')");
    stoa_test_verify(shared);
    stoa_test_never_writes(shared, uses);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_real_ones),     cmocka_unit_test(test_lone_surrogates),
        cmocka_unit_test(test_bad_utf8),           cmocka_unit_test(test_long),
        cmocka_unit_test(test_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, stoa_test_shared_setup, stoa_test_python_teardown);
}
