#include "immortal/container.h"

#include "heap/process.h"
#include "immortal/canonical.h"
#include "immortal/verify.h"
#include "stoa/build.h"
#include "support/python_embed.h"
#include "support/python_immortal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define OK(call) assert_int_equal((call), STOA_OK)

static stoa_builder *
new_builder(unsigned flags)
{
    stoa_builder *builder = NULL;
    OK(stoa_builder_new(NULL, flags, &builder));
    return builder;
}

static int
arrives(const stoa_object *object, const char *expression)
{
    PyObject *here = stoa__deliver((PyObject *)(uintptr_t)object);
    assert_non_null(here);
    int result = stoa_test_holds(here, expression);
    Py_DECREF(here);
    return result;
}

static void
objects_of_classes_can_be_children(void **state)
{
    (void)state;
    static const char decimal[] = "__import__('decimal').Decimal('1.50')", *const text[] = {"a", "b", "a"};
    stoa_builder *b = new_builder(0);
    const stoa_object *price = stoa_test_frozen(decimal), *keys[3], *values[3] = {price, price, price}, *o,
                      *mapping;
    OK(stoa_begin_tuple(b));
    OK(stoa_push_object(b, price));
    OK(stoa_begin_mapping(b));
    OK(stoa_push_text(b, "price", 5));
    OK(stoa_push_object(b, price));
    OK(stoa_push_int64(b, 1));
    OK(stoa_push_int64(b, 1000));
    OK(stoa_push_double(b, 1.0)); /* an equal key: the later value stands at the first one's place */
    OK(stoa_push_int64(b, 2000));
    OK(stoa_end(b));
    OK(stoa_begin_set(b));
    OK(stoa_push_int64(b, 7));
    OK(stoa_push_object(b, price));
    OK(stoa_push_double(b, 7.0));
    OK(stoa_end(b));
    OK(stoa_end(b));
    OK(stoa_builder_finish(b, &o));
    assert_ptr_equal(
        o, stoa_test_frozen(
               "[__import__('decimal').Decimal('1.50'), {'price': __import__('decimal').Decimal('1.50'),"
               " 1: 2000}, {7, __import__('decimal').Decimal('1.50')}]"));
    assert_true(
        arrives(o, "x == (x[0], {'price': x[0], 1: 2000}, frozenset({7, x[0]})) and str(x[0]) == '1.50' and "
                   "[type(k) for k in x[1]] == [str, int] and {type(m) for m in x[2]} == {int, type(x[0])}"));
    for (int i = 0; i < 3; i++) {
        OK(stoa_make_text(b, text[i], 1, &keys[i]));
    }
    OK(stoa_make_mapping(b, keys, values, 3, &mapping));
    OK(stoa_make_tuple(b, values, 2, &o));
    OK(stoa_make_set(b, values, 2, &o));
    OK(stoa_builder_finish(b, NULL));
    assert_true(arrives(mapping, "list(x) == ['a', 'b'] and str(x['a']) == '1.50'"));
    assert_true(arrives(o, "len(x) == 1"));
    const stoa_object *pair[2] = {NULL, price};
    OK(stoa_make_mapping(b, NULL, NULL, 0, &pair[0]));
    if (!STOA_HAS_FROZENDICT) {
        assert_int_equal(stoa_make_set(b, pair, 2, &o), STOA_ETYPE);
        assert_non_null(strstr(stoa_error_message(), "key number 0"));
    }
    stoa_builder_free(b);
}

static void
a_long_mapping_of_objects_is_what_freezing_makes(void **state)
{
    (void)state;
    const stoa_object *price = stoa_test_frozen("__import__('decimal').Decimal('1.50')"), *mapping, *value;
    for (unsigned flags = 0; flags <= STOA_BUILD_NO_INTERN; flags += STOA_BUILD_NO_INTERN) {
        stoa_builder *b = new_builder(flags);
        OK(stoa_begin_mapping(b));
        for (int i = 0; i < 2000; i++) {
            OK(stoa_push_int64(b, i));
            if (i % 10 == 0) {
                OK(stoa_push_object(b, price));
            }
            else {
                OK(stoa_push_int64(b, -i));
            }
        }
        OK(stoa_push_double(b, 1999.0));
        OK(stoa_push_text(b, "last", 4));
        OK(stoa_end(b));
        OK(stoa_builder_finish(b, &mapping));
        stoa_builder_free(b);
        static const char same[] =
            "{i: -i if i % 10 else __import__('decimal').Decimal('1.50') for i in range(1999)} |"
            " {1999: 'last'}";
        assert_int_equal(mapping == stoa_test_frozen(same), flags == 0);
        size_t count, position = 0, seen = 0;
        const stoa_object *key;
        OK(stoa_get_length(mapping, &count));
        assert_int_equal(count, 2000);
        OK(stoa_mapping_get_int(mapping, 70, &value));
        assert_ptr_equal(value, price);
        for (; stoa_mapping_next(mapping, &position, &key, &value); seen++) {
            const stoa_object *found;
            OK(stoa_mapping_get(mapping, key, &found));
            assert_ptr_equal(found, value);
        }
        assert_int_equal(seen, 2000);
        OK(stoa__verify((const PyObject *)mapping, &count));
        assert_true(count > 2000);
        assert_true(arrives(
            mapping, "type(x).__name__ == 'PersistentMapping' and len(x) == 2000 and x[70] is x[80] and "
                     "str(x[70]) == '1.50' and x[71] == -71 and x[1999] == 'last' and list(x) == "
                     "list(range(2000))"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_classes_can_be_children),
        cmocka_unit_test(a_long_mapping_of_objects_is_what_freezing_makes),
    };
    return cmocka_run_group_tests(tests, stoa_test_immortal_setup, stoa_test_python_teardown);
}
