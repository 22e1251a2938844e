/* The C side of foreign nodes: laying them, delivering them, finding them again. */
#define PY_SSIZE_T_CLEAN
#include "immortal/content.h"
#include "immortal/foreign.h"

#include "heap/handle.h"
#include "heap/process.h"
#include "heap/region.h"
#include "heap/thing.h"
#include "immortal/by_value.h"
#include "immortal/freeze.h"
#include "immortal/image.h"
#include "immortal/interpreter_state.h"
#include "support/python_embed.h"
#include "support/python_immortal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static stoa_shared *
text(stoa_batch *batch, const char *utf8)
{
    stoa_shared *made = stoa__make_str_utf8(batch, utf8, strlen(utf8));
    assert_non_null(made);
    return made;
}

static stoa_shared *
global(stoa_batch *batch, const char *module, const char *name)
{
    stoa_shared *parts[2] = {text(batch, module), text(batch, name)};
    stoa_shared *made = stoa__make_node(batch, STOA_NODE_GLOBAL, STOA_NODE_VALUE, parts, 2, 0);
    assert_non_null(made);
    return made;
}

static void
begin(stoa_batch *batch)
{
    assert_int_equal(stoa__batch_begin(batch, NULL, STOA_BATCH_INTERN), STOA_OK);
}

static void
equal_parts_make_one_node_where_they_are_values(void **state)
{
    (void)state;
    stoa_batch batch;
    begin(&batch);
    stoa_shared *decimal = global(&batch, "decimal", "Decimal");
    assert_ptr_equal(global(&batch, "decimal", "Decimal"), decimal);
    assert_true(stoa__is_node(decimal));
    stoa_shared *items[2] = {decimal, text(&batch, "x")};
    stoa_shared *tuple = stoa__make_node(&batch, STOA_NODE_TUPLE, STOA_NODE_VALUE, items, 2, 0);
    assert_ptr_equal(stoa__make_node(&batch, STOA_NODE_TUPLE, STOA_NODE_VALUE, items, 2, 0), tuple);
    assert_ptr_not_equal(stoa__make_node(&batch, STOA_NODE_FROZENSET, STOA_NODE_VALUE, items, 2, 0), tuple);
    assert_ptr_not_equal(stoa__make_node(&batch, STOA_NODE_TUPLE, 0, items, 2, 0), tuple);
    stoa_content both = {items, 2, STOA_NUMBERS_NONE}, one = {items, 1, STOA_NUMBERS_NONE};
    assert_true(stoa__node_is(tuple, STOA_NODE_TUPLE, &both));
    assert_false(stoa__node_is(tuple, STOA_NODE_TUPLE, &one));
    assert_false(stoa__node_is(items[1], STOA_NODE_TUPLE, &both));
    stoa__batch_commit(&batch);
}

static void
what_can_be_changed_is_inherited(void **state)
{
    (void)state;
    stoa_batch batch;
    begin(&batch);
    stoa_shared *list[1] = {text(&batch, "x")};
    stoa_shared *changeable[1] = {stoa__make_node(&batch, STOA_NODE_TUPLE, STOA_NODE_CHANGEABLE, list, 1, 0)};
    const stoa_node *outer = (const stoa_node *)(const void *)stoa__make_node(
        &batch, STOA_NODE_TUPLE, STOA_NODE_VALUE, changeable, 1, 0);
    assert_true(outer->flags & STOA_NODE_CHANGEABLE);
    stoa__batch_abort(&batch);
}

static void
a_node_is_delivered_once_and_known_again(void **state)
{
    (void)state;
    stoa_batch batch;
    begin(&batch);
    stoa_shared *class = global(&batch, "decimal", "Decimal");
    stoa_shared *one[1] = {text(&batch, "1.50")};
    stoa_shared *parts[7] = {
        class, stoa__make_tuple(&batch, one, 1), text(&batch, ".."), Py_None, Py_None, Py_None, class};
    stoa_shared *call = stoa__make_node(&batch, STOA_NODE_CALL, STOA_NODE_VALUE, parts, 7, 0);
    stoa_shared *items[2] = {call, call};
    stoa_shared *tuple = stoa__make_node(&batch, STOA_NODE_TUPLE, STOA_NODE_VALUE, items, 2, 0);
    stoa__batch_commit(&batch);
    PyObject *delivered = stoa__deliver(tuple);
    assert_non_null(delivered);
    assert_true(
        stoa_test_holds(delivered, "repr(x) == \"(Decimal('1.50'), Decimal('1.50'))\" and x[0] is x[1]"));
    PyObject *again = stoa__deliver(tuple);
    assert_ptr_equal(again, delivered);
    assert_ptr_equal(stoa__delivered_node(delivered), tuple);
    assert_ptr_equal(stoa__delivered_to_heap(delivered), tuple);
    assert_ptr_equal(stoa__freeze_to_heap(delivered, NULL, STOA_FREEZE_INTERN), tuple);
    PyObject *decimal = stoa_test_eval("__import__('decimal').Decimal");
    assert_null(stoa__delivered_node(decimal)); /* only a part of something that was delivered */
    Py_DECREF(decimal);
    Py_DECREF(again);
    Py_DECREF(delivered);
}

static void
a_name_that_is_not_there_is_told_and_can_come_later(void **state)
{
    (void)state;
    stoa_batch batch;
    begin(&batch);
    stoa_shared *late = global(&batch, "stoa_test_late", "Thing");
    stoa_shared *wrap[1] = {late};
    stoa_shared *tuple = stoa__make_node(&batch, STOA_NODE_TUPLE, STOA_NODE_VALUE, wrap, 1, 0);
    stoa__batch_commit(&batch);
    for (int i = 0; i < 2; i++) {
        assert_null(stoa__deliver(tuple));
        PyObject *raised = PyErr_GetRaisedException();
        assert_true(stoa_test_holds(raised, "'stoa_test_late.Thing' in str(x) and '$[0]' in str(x) and "
                                            "isinstance(x.__cause__, ModuleNotFoundError)"));
        Py_DECREF(raised);
    }
    Py_DECREF(stoa_test_eval("__import__('sys').modules.__setitem__('stoa_test_late', "
                             "__import__('types').SimpleNamespace(Thing=int))"));
    PyObject *there = stoa__deliver(tuple);
    assert_non_null(there);
    assert_true(stoa_test_holds(there, "x == (int,)"));
    Py_DECREF(there);
}

/* ---- handles ------------------------------------------------------------------------------------------------------- */

static int ended;

static void
end_thing(stoa_thing *thing)
{
    ended++;
    free(thing);
}

static stoa_thing *
new_thing(void)
{
    static const stoa_thing_class class = {.name = "Test", .end = end_thing};
    stoa_thing *thing = calloc(1, sizeof(*thing));
    assert_non_null(thing);
    assert_int_equal(stoa__thing_open(thing, &class, STOA_THING_EVENT), STOA_OK);
    return thing;
}

static void
a_handle_is_held_by_what_was_committed_only(void **state)
{
    (void)state;
    stoa_batch batch;
    stoa_thing *thing = new_thing();
    ended = 0;
    begin(&batch);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(stoa__handle_ref(thing->handle), STOA_OK);
        assert_non_null(stoa__make_handle_node(&batch, thing->handle));
    }
    stoa__batch_abort(&batch);
    assert_int_equal(stoa__handle_count(thing->handle), 1);
    stoa__handle_unref(thing->handle);
    assert_int_equal(ended, 1);

    thing = new_thing();
    begin(&batch);
    stoa_shared *node = stoa__make_handle_node(&batch, thing->handle); /* takes the reference over */
    assert_non_null(node);
    assert_int_equal(stoa__handle_of_node((const stoa_node *)(const void *)node), thing->handle);
    stoa__batch_commit(&batch);
    assert_int_equal(stoa__handle_count(thing->handle), 1);
    begin(&batch);
    assert_int_equal(stoa__handle_ref(thing->handle), STOA_OK);
    assert_ptr_equal(stoa__make_handle_node(&batch, thing->handle), node);
    stoa__batch_commit(&batch);
    assert_int_equal(stoa__handle_count(thing->handle), 1);
    assert_int_equal(ended, 1);
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

static void
what_crosses_by_value_is_known_by_class(void **state)
{
    (void)state;
    static const struct {
        const char *expression;
        stoa_crossing crossing;
    } table[] = {
        {"__import__('decimal').Decimal(1)", STOA_CROSSES_VALUE},
        {"__import__('uuid').UUID(int=1)", STOA_CROSSES_VALUE},
        {"__import__('re').compile('a')", STOA_CROSSES_VALUE},
        {"__import__('os').stat('/')", STOA_CROSSES_VALUE},
        {"__import__('inspect').Parameter.empty", STOA_CROSSES_NOT},
        {"__import__('signal').SIGINT", STOA_CROSSES_VALUE},
        {"__import__('inspect').getfullargspec(lambda: 0)", STOA_CROSSES_VALUE},
        {"__import__('collections').deque()", STOA_CROSSES_BAG},
        {"__import__('types').SimpleNamespace()", STOA_CROSSES_BAG},
        {"[]", STOA_CROSSES_NOT},
        {"object()", STOA_CROSSES_NOT},
        {"__import__('sys').flags", STOA_CROSSES_NOT},
        {"__import__('threading').Lock()", STOA_CROSSES_NOT},
    };
    for (int round = 0; round < 2; round++) { /* found out; remembered */
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            PyObject *object = stoa_test_eval(table[i].expression);
            if (stoa__value_crossing(object) != table[i].crossing) {
                fail_msg("%s", table[i].expression);
            }
            assert_null(PyErr_Occurred());
            Py_DECREF(object);
        }
    }
}

static void
a_value_is_taken_apart_and_made_again(void **state)
{
    (void)state;
    PyObject *fraction = stoa_test_eval("__import__('fractions').Fraction(1, 3)");
    stoa_value_parts parts;
    assert_int_equal(stoa__value_apart(fraction, &parts), 1);
    assert_int_equal(parts.kind, STOA_NODE_CALL);
    assert_true(parts.names);
    PyObject *again = stoa__value_build(parts.kind, ((PyTupleObject *)parts.rest)->ob_item,
                                        (size_t)PyTuple_GET_SIZE(parts.rest));
    assert_non_null(again);
    assert_ptr_not_equal(again, fraction);
    assert_int_equal(PyObject_RichCompareBool(again, fraction, Py_EQ), 1);
    Py_DECREF(again);
    Py_DECREF(parts.rest);
    Py_DECREF(fraction);
}

/* ---- what an interpreter keeps ------------------------------------------------------------------------------------- */

static int freed;

static void
count_freed(void *kept)
{
    freed++;
    free(kept);
}

static PyObject *
make_kept(void)
{
    return stoa__interpreter_state_new("stoa.test", calloc(1, 8), count_freed);
}

static PyObject *
make_failing(void)
{
    PyErr_SetString(PyExc_ZeroDivisionError, "not made");
    return NULL;
}

static void
state_is_made_once_and_freed_with_its_capsule(void **state)
{
    (void)state;
    assert_null(stoa__interpreter_state("stoa.test", NULL));
    assert_null(PyErr_Occurred());
    assert_null(stoa__interpreter_state("stoa.test", make_failing));
    assert_true(PyErr_ExceptionMatches(PyExc_ZeroDivisionError));
    PyErr_Clear();
    void *made = stoa__interpreter_state("stoa.test", make_kept);
    assert_non_null(made);
    assert_ptr_equal(stoa__interpreter_state("stoa.test", make_failing), made);
    assert_ptr_equal(stoa__interpreter_state("stoa.test", NULL), made);
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    assert_int_equal(PyDict_DelItemString(dict, "stoa.test"), 0);
    assert_int_equal(freed, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_parts_make_one_node_where_they_are_values),
        cmocka_unit_test(what_can_be_changed_is_inherited),
        cmocka_unit_test(a_node_is_delivered_once_and_known_again),
        cmocka_unit_test(a_name_that_is_not_there_is_told_and_can_come_later),
        cmocka_unit_test(a_handle_is_held_by_what_was_committed_only),
        cmocka_unit_test(what_crosses_by_value_is_known_by_class),
        cmocka_unit_test(a_value_is_taken_apart_and_made_again),
        cmocka_unit_test(state_is_made_once_and_freed_with_its_capsule),
    };
    return cmocka_run_group_tests(tests, stoa_test_immortal_setup, stoa_test_python_teardown);
}
