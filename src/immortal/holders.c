#include "immortal/holders.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "heap/region.h"
#include "immortal/describe.h"
#include "immortal/table.h"

#define MOST_PHRASES 6
#define MOST_DEPTH 32 /* of containers that the gc does not track, below one that it does */

typedef struct finder {
    uint32_t region;
    PyObject *holders[MOST_PHRASES]; /* borrowed: no code runs while they are looked at */
    const PyObject *held[MOST_PHRASES];
    size_t count;
    PyObject *holder; /* whose referents are being visited */
    int depth;
} finder;

static int visit(PyObject *object, void *arg);

/* What is directly below it. */
static int
traverse(finder *f, PyObject *holder)
{
    PyObject *outer = f->holder, *key, *value;
    Py_ssize_t at = 0;
    f->holder = holder;
    int stop = 0;
    while (stop == 0 && PyDict_Check(holder) && PyDict_Next(holder, &at, &key, &value)) {
        if (PyUnicode_Check(key)) { /* dict's own traversal leaves those out */
            stop = visit(key, f);
        }
    }
    if (stop == 0) {
        stop = Py_TYPE(holder)->tp_traverse(holder, visit, f);
    }
    f->holder = outer;
    return stop;
}

static int
visit(PyObject *object, void *arg)
{
    finder *f = arg;
    if (f->count == MOST_PHRASES) {
        return 1;
    }
    if (stoa__region_of(object) == f->region) {
        for (size_t i = 0; i < f->count; i++) {
            if (f->holders[i] == f->holder) {
                return 0;
            }
        }
        f->held[f->count] = object;
        f->holders[f->count++] = f->holder;
        return 0;
    }
    /* tuples and dicts of what needs no gc are not tracked; what is tracked has its own turn */
    if (!stoa__in_heap(object) && PyObject_IS_GC(object) && !PyObject_GC_IsTracked(object) &&
        Py_TYPE(object)->tp_traverse != NULL && f->depth < MOST_DEPTH) {
        f->depth++;
        int stop = traverse(f, object);
        f->depth--;
        return stop;
    }
    return 0;
}

static int
look_at(PyObject *object, void *arg)
{
    finder *f = arg;
    (void)traverse(f, object);
    return f->count < MOST_PHRASES; /* 0 ends it */
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

typedef struct phrases {
    char *text;
    size_t size, length, count;
} phrases;

__attribute__((format(printf, 2, 3))) static void
say(phrases *p, const char *format, ...)
{
    char phrase[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(phrase, sizeof(phrase), format, args);
    va_end(args);
    int wrote = snprintf(p->text + p->length, p->size - p->length, "%s%s", p->length == 0 ? "" : "; ", phrase);
    if (wrote > 0) {
        p->length = p->length + (size_t)wrote < p->size ? p->length + (size_t)wrote : p->size - 1;
    }
    p->count++;
}

/* A module's own dict: its name. Borrowed; NULL. */
static const char *
module_of_dict(PyObject *dict)
{
    PyObject *modules = PyImport_GetModuleDict(), *name, *module;
    Py_ssize_t at = 0;
    while (modules != NULL && PyDict_Check(modules) && PyDict_Next(modules, &at, &name, &module)) {
        if (PyModule_Check(module) && PyModule_GetDict(module) == dict && PyUnicode_Check(name)) {
            return PyUnicode_AsUTF8(name);
        }
    }
    return NULL;
}

static void
say_dict(phrases *p, uint32_t region, PyObject *dict, const char *held)
{
    const char *module = module_of_dict(dict), *text = NULL;
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (text == NULL && PyDict_Next(dict, &at, &key, &value)) {
        if ((stoa__region_of(value) == region || stoa__region_of(key) == region) && PyUnicode_Check(key)) {
            text = PyUnicode_AsUTF8(key);
            PyErr_Clear();
        }
    }
    if (module != NULL && text != NULL) {
        say(p, "%.100s.%.100s is %s", module, text, held);
    }
    else if (text != NULL) {
        say(p, "a dict at %p holds %s as %.100s", (void *)dict, held, text);
    }
    else {
        say(p, "a dict at %p holds %s", (void *)dict, held);
    }
}

void
stoa__holders_name(const void *held, char *text, size_t size)
{
    if (stoa__describe(held, text, size) == 0) {
        (void)snprintf(text, size, "something at %p", held);
    }
    char *tail = strstr(text, ", offset 0:"); /* nothing happened at that offset */
    if (tail != NULL) {
        *tail = '\0';
    }
}

static void
say_holder(phrases *p, uint32_t region, PyObject *holder, const PyObject *held)
{
    char text[160];
    stoa__holders_name(held, text, sizeof(text));
    if (PyDict_CheckExact(holder)) {
        say_dict(p, region, holder, text);
    }
    else {
        say(p, "a %.100s at %p holds %s", Py_TYPE(holder)->tp_name, (void *)holder, text);
    }
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* Is it of the region, or an untracked container with something of it? */
static bool
leads_there(uint32_t region, PyObject *value)
{
    finder f = {.region = region};
    if (stoa__region_of(value) != region) {
        (void)visit(value, &f);
    }
    return f.count != 0 || stoa__region_of(value) == region;
}

static void
say_variables(phrases *p, uint32_t region, PyFrameObject *frame, PyCodeObject *code)
{
    PyObject *names = PyCode_GetVarnames(code);
    const char *function = PyUnicode_AsUTF8(code->co_qualname);
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names) && p->count < MOST_PHRASES; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i), *value = PyFrame_GetVar(frame, name);
        if (value != NULL && leads_there(region, value)) {
            const char *text = PyUnicode_AsUTF8(name);
            say(p, "variable %.100s of %.100s, line %d", text == NULL ? "?" : text,
                function == NULL ? "?" : function, PyFrame_GetLineNumber(frame));
        }
        Py_XDECREF(value);
        PyErr_Clear();
    }
    Py_XDECREF(names);
    PyErr_Clear();
}

static void
say_frames(phrases *p, uint32_t region, PyThreadState *state)
{
    PyFrameObject *frame = PyThreadState_GetFrame(state);
    while (frame != NULL && p->count < MOST_PHRASES) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        if (code->co_flags & CO_OPTIMIZED) { /* else its variables are a dict's */
            say_variables(p, region, frame, code);
        }
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
}

size_t
stoa__holders_tell(uint32_t id, char *text, size_t size)
{
    phrases p = {text, size, strlen(text), 0};
    finder f = {.region = id};
    size_t delivered;
    PyObject *raised = PyErr_GetRaisedException();
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; state != NULL; state = PyThreadState_Next(state)) {
        say_frames(&p, id, state);
    }
    PyUnstable_GC_VisitObjects(look_at, &f);
    for (size_t i = 0; i < f.count && p.count < MOST_PHRASES; i++) {
        say_holder(&p, id, f.holders[i], f.held[i]);
    }
    PyObject *one = stoa__table_delivered_of(id, &delivered);
    if (one != NULL) {
        say(&p, "%zu delivered objects, a %.100s among them", delivered, Py_TYPE(one)->tp_name);
    }
    PyErr_SetRaisedException(raised);
    return p.count;
}
