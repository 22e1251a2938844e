/* What CPython finds of the parent's threads in a forked child: whatever they were at, the child goes on. */
#include <Python.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/membership.h"
#include "support/python_embed.h"

static int
setup(void **state)
{
    return stoa_test_python_setup(state) != 0 || stoa__current_record() == NULL ? -1 : 0;
}

static const char fork_and_wait[] = "import os, warnings\n"
                                    "warnings.simplefilter('ignore')\n"
                                    "pid = os.fork()\n"
                                    "if pid == 0:\n"
                                    "    os._exit(0)\n"
                                    "status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
                                    "assert status == 0, status\n";

/* A thread of another interpreter that is just done with importing an extension module: see thread_list.h. */
static void
child_goes_on_beside_a_cleared_thread_state(void **unused)
{
    (void)unused;
    PyThreadState *own = PyThreadState_Get();
    PyThreadState *visitor = PyThreadState_New(own->interp);
    assert_non_null(visitor);
    (void)PyThreadState_Swap(visitor);
    PyThreadState_Clear(visitor);
    (void)PyThreadState_Swap(own);
    int failed = PyRun_SimpleString(fork_and_wait);
    PyThreadState_Delete(visitor);
    assert_int_equal(failed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_goes_on_beside_a_cleared_thread_state),
    };
    return cmocka_run_group_tests(tests, setup, stoa_test_python_teardown);
}
