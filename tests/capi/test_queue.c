/* Queues as an outside host uses them: public headers only, threads that Python has never seen. */
#include "host_testing.h"

#include <Python.h>
#include <math.h>

static void
values_come_out_as_they_went_in(void **state)
{
    (void)state;
    stoa_queue *queue;
    stoa_data got;
    char text[] = "short", long_text[] = "a text of more than twenty-four bytes, and not ASCII: \xc3\xa4";
    OK(stoa_queue_new(0, &queue));
    stoa_data values[] = {
        stoa_data_none(),      stoa_data_bool(true),         stoa_data_int(INT64_MIN),
        stoa_data_float(0.5),  stoa_data_text(text, 5),      stoa_data_text(long_text, sizeof(long_text) - 1),
        stoa_data_text("", 0), stoa_data_bytes("\0\xff", 2), stoa_data_bytes(long_text, sizeof(long_text))};
    size_t count = sizeof(values) / sizeof(values[0]);
    for (size_t i = 0; i < count; i++) {
        OK(stoa_queue_put(queue, &values[i], 0));
    }
    assert_int_equal(stoa_queue_size(queue), count);
    for (size_t i = 0; i < count; i++) {
        OK(stoa_queue_get(queue, 0, 0, &got));
        assert_int_equal(got.kind, values[i].kind);
        if (got.kind == STOA_DATA_TEXT || got.kind == STOA_DATA_BYTES) {
            assert_int_equal(got.as.text.size, values[i].as.text.size);
            assert_memory_equal(got.as.text.at, values[i].as.text.at, got.as.text.size);
            assert_int_equal(got.as.text.at[got.as.text.size], 0);
        }
        else if (got.kind == STOA_DATA_INT) {
            assert_true(got.as.integer == INT64_MIN);
        }
        stoa_data_clear(&got);
    }
    stoa_queue_free(queue);
    stoa_queue_free(NULL);
}

static void
wrong_arguments_are_told(void **state)
{
    (void)state;
    stoa_queue *queue;
    stoa_data value = stoa_data_text("\xff", 1), got;
    OK(stoa_queue_new(1, &queue));
    assert_int_equal(stoa_queue_put(queue, &value, 0), STOA_EUTF8);
    value = stoa_data_int(1);
    assert_int_equal(stoa_queue_put(NULL, &value, 0), STOA_EINVAL);
    assert_int_equal(stoa_queue_put(queue, NULL, 0), STOA_EINVAL);
    assert_int_equal(stoa_queue_put(queue, &value, NAN), STOA_EINVAL);
    assert_int_equal(stoa_queue_get(queue, NAN, 0, &got), STOA_EINVAL);
    assert_int_equal(stoa_queue_get(queue, 0, 1u << 20, &got), STOA_EINVAL);
    assert_int_equal(stoa_queue_get(queue, 0, 0, NULL), STOA_EINVAL);
    assert_int_equal(stoa_queue_get(queue, 0, 0, &got), STOA_ETIMEDOUT);
    assert_int_equal(stoa_queue_get(queue, 0.01, 0, &got), STOA_ETIMEDOUT);
    OK(stoa_queue_put(queue, &value, 0));
    assert_int_equal(stoa_queue_put(queue, &value, 0), STOA_ETIMEDOUT);
    assert_int_equal(stoa_queue_put(queue, &value, 0.01), STOA_ETIMEDOUT);
    OK(stoa_queue_shutdown(queue, false));
    assert_int_equal(stoa_queue_put(queue, &value, -1), STOA_ECLOSED);
    OK(stoa_queue_get(queue, -1, 0, &got));
    assert_int_equal(stoa_queue_get(queue, -1, 0, &got), STOA_ECLOSED);
    stoa_queue_free(queue);
}

#define ITEMS 20000

static void *
produce(void *queue)
{
    for (int i = 0; i < ITEMS; i++) {
        stoa_data value = stoa_data_int(i);
        CHECK(stoa_queue_put(queue, &value, 60) == STOA_OK);
    }
    return NULL;
}

static void
threads_that_python_never_saw(void **state)
{
    (void)state;
    stoa_queue *queue;
    pthread_t threads[2];
    int64_t sum = 0;
    OK(stoa_queue_new(64, &queue));
    for (int i = 0; i < 2; i++) {
        threads[i] = start(produce, queue);
    }
    for (int i = 0; i < 2 * ITEMS; i++) {
        stoa_data got;
        OK(stoa_queue_get(queue, 60, 0, &got));
        sum += got.as.integer;
    }
    for (int i = 0; i < 2; i++) {
        join(threads[i]);
    }
    assert_true(sum == (int64_t)ITEMS * (ITEMS - 1));
    stoa_queue_free(queue);
}

static void
python_sees_the_same_queue(void **state)
{
    (void)state;
    stoa_queue *queue, *same;
    stoa_interp *interp;
    stoa_handle handle, found;
    stoa_data value = stoa_data_int(20), argument, got;
    OK(stoa_queue_new(0, &queue));
    OK(stoa_queue_publish("capi.queue", queue));
    assert_int_equal(stoa_queue_publish("capi.queue", queue), STOA_EEXIST);
    OK(stoa_interp_new(NULL, false, &interp));
    OK(stoa_queue_put(queue, &value, -1));
    OK(stoa_exec(interp,
                 "def use(q):\n"
                 "    global known\n"
                 "    known = q\n"
                 "    q.put(q.get() + 1)\n"
                 "    q.put_many(['\\u00e4' * 40, (1, 2), [3]])\n"
                 "def again(q):\n"
                 "    assert q is known\n",
                 NULL, NULL));
    OK(stoa_queue_handle(queue, &handle)); /* nobody in there has imported stoa */
    argument = stoa_data_handle(handle);
    OK(stoa_call(interp, "__main__:use", &argument, 1, 0, NULL, NULL));
    OK(stoa_queue_get(queue, 60, 0, &got));
    assert_true(got.kind == STOA_DATA_INT && got.as.integer == 21);
    OK(stoa_queue_get(queue, 60, 0, &got));
    assert_true(got.kind == STOA_DATA_TEXT && got.as.text.size == 80);
    stoa_data_clear(&got);
    assert_int_equal(stoa_queue_get(queue, 60, 0, &got), STOA_ETYPE);
    assert_int_equal(stoa_queue_size(queue), 2); /* it stayed */
    OK(stoa_queue_get(queue, 60, STOA_CALL_FREEZE_RESULT, &got));
    assert_int_equal(got.kind, STOA_DATA_SHARED);
    OK(stoa_queue_get(queue, 60, STOA_CALL_HOLD_RESULT, &got));
    assert_int_equal(got.kind, STOA_DATA_HANDLE);
    assert_int_equal(stoa_queue_of(got.as.handle, &same), STOA_ETYPE);
    stoa_data_clear(&got);
    OK(stoa_handle_lookup("capi.queue", 0, &found));
    argument = stoa_data_handle(found);
    OK(stoa_call(interp, "__main__:again", &argument, 1, 0, NULL, NULL));
    OK(stoa_handle_release(found));
    OK(stoa_queue_of(handle, &same));
    assert_ptr_equal(same, queue);
    OK(stoa_handle_release(handle));
    OK(stoa_unpublish("capi.queue"));
    stoa_queue_free(same);
    OK(stoa_interp_close(interp, -1));
    stoa_interp_free(interp);
    stoa_queue_free(queue);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_out_as_they_went_in),
        cmocka_unit_test(wrong_arguments_are_told),
        cmocka_unit_test(threads_that_python_never_saw),
        cmocka_unit_test(python_sees_the_same_queue),
    };
    return cmocka_run_group_tests(tests, stoa_test_runtime_setup, stoa_test_runtime_teardown);
}
