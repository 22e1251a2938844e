#include "host/import_path.h"

#include "proxy/cross.h"

int
stoa__import_path_pack(stoa_parcel *out)
{
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    PyObject *strings = PyList_New(0);
    int result = strings == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && path != NULL && PyList_Check(path) && i < PyList_GET_SIZE(path); i++) {
        PyObject *item = PyList_GET_ITEM(path, i);
        if (PyUnicode_CheckExact(item)) {
            result = PyList_Append(strings, item);
        }
    }
    if (result == 0) {
        result = stoa__pack(strings, "sys.path", STOA_PACK_TOP | STOA_PACK_DETACHED, out);
    }
    Py_XDECREF(strings);
    return result;
}

int
stoa__import_path_put(const stoa_parcel *path)
{
    PyObject *list = stoa__unpack(path);
    int result = list == NULL ? -1 : PySys_SetObject("path", list);
    Py_XDECREF(list);
    return result;
}
