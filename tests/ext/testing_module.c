#include "testing.h"

static int
exec_module(PyObject *module)
{
    if (PyModule_AddFunctions(module, testing_recorder_methods) < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, testing_capi_methods);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_stoa_testing",
    .m_doc = "What the tests need from C: a recorder of writes, and C API calls.",
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__stoa_testing(void)
{
    return PyModuleDef_Init(&definition);
}
