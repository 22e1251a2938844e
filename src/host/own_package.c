#include "host/own_package.h"

#include <Python.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STOA_PACKAGE_BESIDE /* the installed package's folder, as seen from the library's */
#define STOA_PACKAGE_BESIDE "."
#endif

/* Folder of the library, without links; false: not to be found. */
static bool
library_folder(char folder[PATH_MAX])
{
    Dl_info info;
    if (dladdr((const void *)&library_folder, &info) == 0 || info.dli_fname == NULL ||
        realpath(info.dli_fname, folder) == NULL) {
        return false;
    }
    char *slash = strrchr(folder, '/');
    *(slash == NULL ? folder : slash) = '\0';
    return folder[0] != '\0';
}

/* Is the package `stoa` in library/below? Its folder, without links, is written. */
static bool
package_in(const char *library, const char *below, char folder[PATH_MAX])
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s/stoa/__init__.py", library, below);
    if (length < 0 || (size_t)length >= sizeof(path) || access(path, R_OK) != 0) {
        return false;
    }
    path[(size_t)length - strlen("/stoa/__init__.py")] = '\0';
    return realpath(path, folder) != NULL;
}

int
stoa__own_package_add(void)
{
    char library[PATH_MAX], folder[PATH_MAX];
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    if (path == NULL || !PyList_Check(path) || !library_folder(library) ||
        (!package_in(library, STOA_PACKAGE_BESIDE, folder) && !package_in(library, "..", folder))) {
        return 0;
    }
    PyObject *text = PyUnicode_DecodeFSDefault(folder);
    int there = text == NULL ? -1 : PySequence_Contains(path, text);
    int result = there != 0 ? (there < 0 ? -1 : 0) : PyList_Append(path, text);
    Py_XDECREF(text);
    return result;
}
