/* Who holds what: the tables of proxies and handles, as stoa/_proxies.py asks for them. */
#include "module/module.h"

#include "heap/handle.h"
#include "immortal/exceptions.h"
#include "proxy/proxy.h"

static stoa_side *
side_of(PyObject *module)
{
    return stoa__side_of(stoa__module_state(module)->record);
}

/* [value, ...] of a table, as they are now: making objects may let other threads at the table. NULL: no memory. */
static uint64_t *
copy_table(const stoa_handle_map *map, bool keys, size_t *count)
{
    uint64_t *copy = PyMem_New(uint64_t, map->count + 1);
    *count = 0;
    for (size_t i = 0; copy != NULL && i < map->capacity; i++) {
        if (map->entries[i].key != 0) {
            copy[(*count)++] = keys ? map->entries[i].key : map->entries[i].value;
        }
    }
    return copy;
}

PyDoc_STRVAR(imports_doc, "_imports($module, /)\n--\n\n"
                          "Living proxies of this interpreter: [(handle, owner, address of the object)].");

static PyObject *
imports(PyObject *module, PyObject *unused)
{
    (void)unused;
    stoa_side *side = side_of(module);
    size_t count;
    uint64_t *handles = side == NULL ? NULL : copy_table(&side->imports, true, &count);
    if (handles == NULL) {
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t i = 0; i < count && list != NULL; i++) {
        stoa_map_entry *entry = stoa__map_first(&side->imports, handles[i]);
        if (entry == NULL) {
            continue; /* dropped meanwhile */
        }
        PyObject *proxy = Py_NewRef((PyObject *)(uintptr_t)entry->value);
        PyObject *owner = stoa__module_wrap_interpreter(module, stoa__proxy(proxy)->owner);
        PyObject *row = owner == NULL
                            ? NULL
                            : Py_BuildValue("(KNK)", (unsigned long long)handles[i], owner,
                                            (unsigned long long)(uintptr_t)stoa__proxy(proxy)->object);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
        Py_DECREF(proxy);
    }
    PyMem_Free(handles);
    return list;
}

PyDoc_STRVAR(exports_doc, "_exports($module, /)\n--\n\n"
                          "Objects of this interpreter that others know: [(handle, object)].");

static PyObject *
exports(PyObject *module, PyObject *unused)
{
    (void)unused;
    stoa_side *side = side_of(module);
    size_t count;
    uint64_t *handles = side == NULL ? NULL : copy_table(&side->exports, false, &count);
    if (handles == NULL) {
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t i = 0; i < count && list != NULL; i++) {
        stoa_interp_record *owner;
        void *object;
        if (stoa__handle_ref(handles[i]) != STOA_OK) {
            continue; /* its last proxy went */
        }
        PyObject *row = NULL;
        if (stoa__handle_get(handles[i], &owner, &object) == STOA_OK) {
            row = Py_BuildValue("(KO)", (unsigned long long)handles[i], (PyObject *)object);
        }
        stoa__handle_unref(handles[i]);
        if (row != NULL ? PyList_Append(list, row) < 0 : PyErr_Occurred() != NULL) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    PyMem_Free(handles);
    return list;
}

PyDoc_STRVAR(handle_of_doc,
             "_handle_of($module, p, /)\n--\n\nThe handle that the proxy p holds; 0: released.");

static PyObject *
handle_of(PyObject *module, PyObject *object)
{
    (void)module;
    return PyLong_FromUnsignedLongLong(stoa__is_proxy(object) ? stoa__proxy(object)->handle : 0);
}

PyDoc_STRVAR(references_doc,
             "_references($module, handle, /)\n--\n\nHow many hold the handle; 0: it is stale.");

static PyObject *
references(PyObject *module, PyObject *number)
{
    (void)module;
    unsigned long long handle = PyLong_AsUnsignedLongLong(number);
    if (handle == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyLong_FromUnsignedLong(stoa__handle_count(handle));
}

static PyMethodDef methods[] = {
    {"_imports", imports, METH_NOARGS, imports_doc},
    {"_exports", exports, METH_NOARGS, exports_doc},
    {"_handle_of", handle_of, METH_O, handle_of_doc},
    {"_references", references, METH_O, references_doc},
    {NULL, NULL, 0, NULL},
};

int
stoa__module_add_proxy_list(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
