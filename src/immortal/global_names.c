/* Which globals does code name? Read off its bytecode, since co_names has the names of attributes, too. */
#include "immortal/function.h"

#include "immortal/cpython/cpython.h"

typedef struct opcodes {
    long load_global, load_name, store_global, delete_global, extended;
} opcodes;

static int
find_opcode(PyObject *map, const char *name, long *out)
{
    PyObject *number = PyMapping_GetItemString(map, name); /* a dict, or from 3.15 on a frozendict */
    *out = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    return *out == -1 ? -1 : 0;
}

static int
find_opcodes(opcodes *out)
{
    PyObject *module = PyImport_ImportModule("opcode");
    PyObject *map = module == NULL ? NULL : PyObject_GetAttrString(module, "opmap");
    int result = map == NULL || find_opcode(map, "LOAD_GLOBAL", &out->load_global) < 0 ||
                         find_opcode(map, "LOAD_NAME", &out->load_name) < 0 ||
                         find_opcode(map, "STORE_GLOBAL", &out->store_global) < 0 ||
                         find_opcode(map, "DELETE_GLOBAL", &out->delete_global) < 0 ||
                         find_opcode(map, "EXTENDED_ARG", &out->extended) < 0
                     ? -1
                     : 0;
    Py_XDECREF(map);
    Py_XDECREF(module);
    return result;
}

static int
add_name(PyObject *set, PyObject *names, size_t index)
{
    if (index >= (size_t)PyTuple_GET_SIZE(names)) {
        return 0;
    }
    return PySet_Add(set, PyTuple_GET_ITEM(names, (Py_ssize_t)index));
}

/* Two bytes an instruction: opcode, argument. What caches there are between them have the opcode 0. */
static int
scan(PyObject *set, PyObject *bytes, PyObject *names, const opcodes *ops)
{
    const unsigned char *code = (const unsigned char *)PyBytes_AS_STRING(bytes);
    size_t high = 0;
    int result = 0;
    for (Py_ssize_t i = 0; i + 1 < PyBytes_GET_SIZE(bytes) && result == 0; i += 2) {
        long op = code[i];
        size_t argument = high << 8 | code[i + 1];
        high = op == ops->extended ? argument : 0;
        if (op == ops->load_global) {
            result = add_name(set, names, argument >> 1); /* the lowest bit: push a NULL, too */
        }
        else if (op == ops->load_name || op == ops->store_global || op == ops->delete_global) {
            result = add_name(set, names, argument);
        }
    }
    return result;
}

static int
collect(PyObject *set, PyObject *code, const opcodes *ops, int depth)
{
    PyObject *bytes = PyCode_GetCode((PyCodeObject *)code);
    PyObject *names = bytes == NULL ? NULL : PyObject_GetAttrString(code, "co_names");
    PyObject *constants = names == NULL ? NULL : PyObject_GetAttrString(code, "co_consts");
    int result = constants == NULL || !PyTuple_Check(names) || !PyTuple_Check(constants)
                     ? -1
                     : scan(set, bytes, names, ops);
    for (Py_ssize_t i = 0; result == 0 && depth < 200 && i < PyTuple_GET_SIZE(constants); i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);
        if (PyCode_Check(constant)) { /* functions inside: as deep as they are nested */
            result = collect(set, constant, ops, depth + 1);
        }
    }
    Py_XDECREF(bytes);
    Py_XDECREF(names);
    Py_XDECREF(constants);
    return result;
}

PyObject *
stoa__global_names(PyObject *code)
{
    opcodes ops;
    PyObject *set = PySet_New(NULL);
    if (set != NULL && (find_opcodes(&ops) < 0 || collect(set, code, &ops, 0) < 0)) {
        Py_CLEAR(set);
    }
    return set;
}
