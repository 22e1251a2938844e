/* As a host does it: objects of Python classes, frozen by an interpreter, read by C with no GIL. */
#include "host_testing.h"

static const char source[] =
    "import os, sys\n"
    "sys.path[:0] = os.environ['PYTHONPATH'].split(':')\n" /* hosts are isolated from it */
    "import datetime, decimal, types, stoa\n"
    "m = sys.modules['shapes'] = types.ModuleType('shapes')\n"
    "exec('''\n"
    "import collections, dataclasses, enum\n"
    "@dataclasses.dataclass\n"
    "class Point:\n    x: int\n    y: float\n    name: str = \"\"\n"
    "@dataclasses.dataclass(frozen=True, slots=True)\n"
    "class Slim:\n    a: object\n"
    "Pair = collections.namedtuple(\"Pair\", \"left right\")\n"
    "class Color(enum.Enum):\n    RED = 1\n    BLUE = \"b\"\n"
    "class Perm(enum.Flag):\n    R = 1\n    W = 2\n"
    "''', m.__dict__)\n"
    "points = [m.Point(i, i / 2, str(i)) for i in range(2000)]\n"
    "zone = datetime.timezone(datetime.timedelta(hours=2))\n"
    "stoa.publish('records', {\n"
    "  'points': points, 'slim': m.Slim((1, 2)), 'pair': m.Pair(3, m.Pair(4, 5)), 'red': m.Color.RED,\n"
    "  'both': m.Perm.R | m.Perm.W, 'price': decimal.Decimal('1.50'), 'class': m.Point, 'len': len,\n"
    "  'module': m, 'queue': stoa.Queue(), 'set': frozenset([m.Color.RED, 7]),\n"
    "  'slice': slice(decimal.Decimal(1), 2), 'zone': datetime.datetime(2024, 1, 2, tzinfo=zone),\n"
    "  m.Color.BLUE: 'key', 5: 'five', 'function': lambda x: [x, points]})\n"
    "table = {f'key {i}': i for i in range(1000)} | {i: -i for i in range(100)}\n"
    "version = stoa.evolve(table, {'key 5': 'changed', 'ü' * 600: 'late', 10**30: 'large', (1, 'x'): "
    "'pair'}, remove=['key 6', 7])\n"
    "version = stoa.evolve(version, {m.Color.RED: m.Point(1, 2), m.Slim(1): 'slim'}, remove=[8])\n"
    "stoa.publish('evolved', {'version': version, 'key': (1, 'x'), 'red': m.Color.RED, 'blue': m.Color.BLUE, "
    "'slim': m.Slim(1),\n"
    "  'large': 10**30, 'none': {}, 'empty': stoa.evolve({}), 'list': [{}]})\n"
    "def look(q):\n"
    "    a, b = q.get(timeout=60), q.get(timeout=60)\n"
    "    return f'{a[3]} {b!r}'\n";

static const stoa_object *
get(const char *key)
{
    const stoa_object *all, *found;
    OK(stoa_lookup("records", 0, &all));
    assert_int_equal(stoa_object_kind(all), STOA_KIND_MAPPING);
    OK(stoa_mapping_get_text(all, key, strlen(key), &found));
    return found;
}

static void
is_of(const stoa_object *object, stoa_kind kind, const char *module, const char *qualname)
{
    const char *found_module, *found_name;
    assert_int_equal(stoa_object_kind(object), kind);
    OK(stoa_get_class(object, &found_module, &found_name));
    assert_string_equal(found_module, module);
    assert_string_equal(found_name, qualname);
}

static void
records_are_read_by_name_and_number(void **state)
{
    (void)state;
    const stoa_object *points = get("points"), *point, *value, *const * items;
    size_t count;
    OK(stoa_get_length(points, &count));
    assert_int_equal(count, 2000);
    OK(stoa_tuple_items(points, &items, &count));
    OK(stoa_tuple_item(points, 1999, &point));
    assert_ptr_equal(items[1999], point);
    is_of(point, STOA_KIND_RECORD, "shapes", "Point");
    OK(stoa_get_length(point, &count));
    assert_int_equal(count, 3);
    static const char *const names[] = {"x", "y", "name"};
    for (size_t i = 0; i < 3; i++) {
        const char *name;
        const stoa_object *by_name;
        OK(stoa_record_field(point, i, &name, &value));
        assert_string_equal(name, names[i]);
        OK(stoa_record_get(point, name, &by_name));
        assert_ptr_equal(by_name, value);
    }
    int64_t x;
    OK(stoa_record_get(point, "x", &value));
    OK(stoa_get_int64(value, &x));
    assert_int_equal(x, 1999);
    assert_int_equal(stoa_record_get(point, "z", &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_record_field(point, 3, NULL, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_tuple_item(points, 2000, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_record_get(points, "x", &value), STOA_ETYPE);
    assert_int_equal(stoa_record_get(point, NULL, &value), STOA_EINVAL);
    assert_int_equal(stoa_record_get(NULL, "x", &value), STOA_EINVAL);
    is_of(get("slim"), STOA_KIND_RECORD, "shapes", "Slim");
    OK(stoa_record_field(get("slim"), 0, NULL, &value));
    assert_int_equal(stoa_object_kind(value), STOA_KIND_TUPLE);
}

static void
named_tuples_are_tuples_with_a_class(void **state)
{
    (void)state;
    const stoa_object *pair = get("pair"), *inner, *const * items;
    size_t count;
    is_of(pair, STOA_KIND_NAMED_TUPLE, "shapes", "Pair");
    OK(stoa_get_length(pair, &count));
    assert_int_equal(count, 2);
    OK(stoa_tuple_item(pair, 1, &inner));
    is_of(inner, STOA_KIND_NAMED_TUPLE, "shapes", "Pair");
    OK(stoa_tuple_items(pair, &items, &count));
    assert_int_equal(count, 2);
    assert_ptr_equal(items[1], inner);
    int64_t left;
    OK(stoa_get_int64(items[0], &left));
    assert_int_equal(left, 3);
    assert_int_equal(stoa_tuple_item(pair, 2, &inner), STOA_ENOTFOUND);
}

static void
members_classes_and_instances_are_told(void **state)
{
    (void)state;
    const stoa_object *value, *arguments;
    const char *name, *module;
    int64_t number;
    is_of(get("red"), STOA_KIND_MEMBER, "shapes", "Color");
    OK(stoa_get_member(get("red"), &name, &value));
    assert_string_equal(name, "RED");
    OK(stoa_get_int64(value, &number));
    assert_int_equal(number, 1);
    OK(stoa_get_member(get("both"), NULL, &value));
    OK(stoa_get_int64(value, &number));
    assert_int_equal(number, 3);
    assert_int_equal(stoa_get_member(get("price"), &name, &value), STOA_ETYPE);
    is_of(get("price"), STOA_KIND_INSTANCE, "decimal", "Decimal");
    OK(stoa_get_arguments(get("price"), &arguments));
    OK(stoa_tuple_item(arguments, 0, &value));
    OK(stoa_get_text(value, &name, NULL));
    assert_string_equal(name, "1.50");
    is_of(get("zone"), STOA_KIND_INSTANCE, "datetime", "datetime");
    is_of(get("class"), STOA_KIND_GLOBAL, "shapes", "Point");
    is_of(get("len"), STOA_KIND_GLOBAL, "builtins", "len");
    is_of(get("module"), STOA_KIND_GLOBAL, "shapes", "");
    is_of(get("function"), STOA_KIND_FUNCTION, "__main__", "<lambda>");
    assert_int_equal(stoa_get_class(get("points"), &module, &name), STOA_ETYPE);
    assert_int_equal(stoa_get_class(NULL, &module, &name), STOA_EINVAL);
    assert_int_equal(stoa_get_class(get("red"), NULL, &name), STOA_EINVAL);
    assert_int_equal(stoa_get_arguments(get("red"), &arguments), STOA_ETYPE);
}

static void
containers_with_objects_inside_are_containers(void **state)
{
    (void)state;
    const stoa_object *all, *key, *value, *red = get("red");
    size_t position = 0, count = 0, length;
    OK(stoa_lookup("records", 0, &all));
    OK(stoa_get_length(all, &length));
    while (stoa_mapping_next(all, &position, &key, &value)) {
        const stoa_object *found;
        OK(stoa_mapping_get(all, key, &found));
        assert_ptr_equal(found, value);
        count++;
    }
    assert_int_equal(count, length);
    OK(stoa_mapping_get_int(all, 5, &value));
    assert_int_equal(stoa_object_kind(value), STOA_KIND_TEXT);
    assert_int_equal(stoa_mapping_get_int(all, 6, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get(all, red, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get(get("points"), red, &value), STOA_ETYPE);
    const stoa_object *set = get("set"), *member;
    OK(stoa_get_length(set, &length));
    assert_int_equal(length, 2);
    OK(stoa_set_contains(set, red));
    OK(stoa_set_contains_int(set, 7));
    assert_int_equal(stoa_set_contains_int(set, 8), STOA_ENOTFOUND);
    for (position = count = 0; stoa_set_next(set, &position, &member); count++) {
        OK(stoa_set_contains(set, member));
    }
    assert_int_equal(count, 2);
    OK(stoa_tuple_item(get("slice"), 0, &value));
    is_of(value, STOA_KIND_INSTANCE, "decimal", "Decimal");
    assert_true(stoa_object_equal(red, red));
    assert_false(stoa_object_equal(red, get("both")));
}

static const stoa_object *
evolved(const char *key)
{
    const stoa_object *all, *found;
    OK(stoa_lookup("evolved", 0, &all));
    OK(stoa_mapping_get_text(all, key, strlen(key), &found));
    return found;
}

static void
has_text(const stoa_object *value, const char *wanted)
{
    const char *text;
    OK(stoa_get_text(value, &text, NULL));
    assert_string_equal(text, wanted);
}

static void
evolved_mappings_are_mappings(void **state)
{
    (void)state;
    const stoa_object *version = evolved("version"), *value, *key;
    assert_int_equal(stoa_object_kind(version), STOA_KIND_MAPPING);
    size_t length, count = 0, position = 0;
    OK(stoa_get_length(version, &length));
    assert_int_equal(length, 1100 + 3 - 2 + 2 - 1);
    OK(stoa_mapping_get_text(version, "key 5", 5, &value));
    has_text(value, "changed");
    int64_t number;
    OK(stoa_mapping_get_text(version, "key 999", 7, &value));
    OK(stoa_get_int64(value, &number));
    assert_int_equal(number, 999);
    OK(stoa_mapping_get_int(version, 99, &value));
    assert_int_equal(stoa_mapping_get_text(version, "key 6", 5, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get_int(version, 7, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get_int(version, 8, &value), STOA_ENOTFOUND);
    assert_int_equal(stoa_mapping_get_int(version, 100, &value), STOA_ENOTFOUND);
    char late[1200];
    for (size_t i = 0; i < sizeof(late); i += 2) {
        memcpy(late + i, "\xc3\xbc", 2);
    }
    OK(stoa_mapping_get_text(version, late, sizeof(late), &value));
    has_text(value, "late");
    OK(stoa_mapping_get(version, evolved("key"), &value));
    has_text(value, "pair");
    OK(stoa_mapping_get(version, evolved("large"), &value));
    has_text(value, "large");
    OK(stoa_mapping_get(version, evolved("red"), &value));
    is_of(value, STOA_KIND_RECORD, "shapes", "Point");
    OK(stoa_mapping_get(version, evolved("slim"), &value));
    has_text(value, "slim");
    assert_int_equal(stoa_mapping_get(version, evolved("blue"), &value), STOA_ENOTFOUND);
    stoa_err none = stoa_mapping_get(version, evolved("none"), &value); /* hashable from Python 3.15 on */
    assert_true(none == STOA_ETYPE || none == STOA_ENOTFOUND);
    while (stoa_mapping_next(version, &position, &key, &value)) {
        const stoa_object *again;
        OK(stoa_mapping_get(version, key, &again));
        assert_ptr_equal(again, value);
        count++;
    }
    assert_int_equal(count, length);
    assert_false(stoa_mapping_next(version, &position, NULL, NULL));
    assert_true(stoa_object_equal(version, version));
    assert_false(stoa_object_equal(version, evolved("none")));
    OK(stoa_get_length(evolved("empty"), &length));
    assert_int_equal(length, 0);
    position = 0;
    assert_false(stoa_mapping_next(evolved("empty"), &position, &key, &value));
    assert_int_equal(stoa_mapping_get_int(evolved("empty"), 1, &value), STOA_ENOTFOUND);
}

static void
handles_inside_can_be_used(void **state)
{
    (void)state;
    stoa_handle handle, item = 0;
    assert_int_equal(stoa_object_kind(get("queue")), STOA_KIND_HANDLE);
    OK(stoa_get_handle(get("queue"), &handle));
    stoa_data five = stoa_data_int(5), out;
    OK(stoa_handle_call(handle, "put", &five, 1, 0, -1, NULL, NULL));
    OK(stoa_handle_call(handle, "get", NULL, 0, 0, -1, &out, NULL));
    assert_int_equal(out.as.integer, 5);
    OK(stoa_handle_release(handle));
    assert_int_equal(stoa_get_handle(get("red"), &item), STOA_ETYPE);
    assert_int_equal(item, 0);
}

static void
what_c_puts_into_a_queue_arrives_as_an_object(void **state)
{
    stoa_handle handle;
    stoa_queue *queue;
    OK(stoa_queue_new(0, &queue));
    stoa_data value = stoa_data_shared(get("points"));
    OK(stoa_queue_put(queue, &value, 1));
    value = stoa_data_shared(get("red"));
    OK(stoa_queue_put(queue, &value, 1));
    OK(stoa_queue_handle(queue, &handle));
    stoa_data argument = stoa_data_handle(handle), result;
    OK(stoa_call(*state, "__main__:look", &argument, 1, 0, &result, NULL));
    assert_string_equal(result.as.text.at, "Point(x=3, y=1.5, name='3') <Color.RED: 1>");
    stoa_data_clear(&result);
    OK(stoa_handle_release(handle));
    stoa_queue_free(queue);
}

static int
set_up(void **state)
{
    stoa_interp *worker;
    if (stoa_runtime_open(NULL) != STOA_OK || stoa_interp_new("reader", false, &worker) != STOA_OK ||
        stoa_exec(worker, source, "source", NULL) != STOA_OK) {
        print_error("%s\n", stoa_error_message());
        return -1;
    }
    *state = worker;
    return 0;
}

static int
tear_down(void **state)
{
    if (stoa_interp_close(*state, -1) != STOA_OK) {
        return -1;
    }
    stoa_interp_free(*state);
    return stoa_runtime_close() == STOA_OK ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read_by_name_and_number),
        cmocka_unit_test(named_tuples_are_tuples_with_a_class),
        cmocka_unit_test(evolved_mappings_are_mappings),
        cmocka_unit_test(members_classes_and_instances_are_told),
        cmocka_unit_test(containers_with_objects_inside_are_containers),
        cmocka_unit_test(handles_inside_can_be_used),
        cmocka_unit_test(what_c_puts_into_a_queue_arrives_as_an_object),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
