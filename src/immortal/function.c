#include "immortal/function.h"

#include "immortal/apart.h"

PyObject *
stoa__function_apart(PyObject *function)
{
    PyObject *parts[2] = {NULL, NULL};
    if (stoa__global_path(function, &parts[0], &parts[1]) < 0) {
        return NULL;
    }
    return stoa__apart_result(STOA_NODE_GLOBAL, STOA_NODE_VALUE, 2, parts);
}
