#include "immortal/described.h"

#include <string.h>

#include "immortal/content.h"
#include "immortal/function_parts.h"

/* ---- functions ----------------------------------------------------------------------------------------------------- */

static bool
step_in_function(stoa_level_fn level_of, const void *arg, size_t i, stoa_step *out)
{
    static const char *const names[FIELDS] = {
        "__module__",     "__name__",       "__qualname__",    "__code__",        "__defaults__",
        "__kwdefaults__", "__kwdefaults__", "__closure__",     "__globals__",     "__globals__",
        "__dict__",       "__dict__",       "__annotations__", "__annotations__", "__doc__",
    };
    enum { NODE, DESCRIPTION, FUNCTIONS, ONE_FUNCTION, VALUES, LEVELS };
    size_t level = 0;
    while (level_of(arg, i - level).kind != STOA_NODE_FUNCTION) {
        if (++level == LEVELS || level > i) {
            return false;
        }
    }
    size_t index = level_of(arg, i).index;
    bool cells = level >= FUNCTIONS && level_of(arg, i - level + 1).index > 0;
    *out = (stoa_step){STOA_STEP_NONE, index, NULL, NULL};
    if (cells && level > FUNCTIONS) {
        return false; /* inside what a cell holds */
    }
    if ((level == DESCRIPTION && index == 1) || (level == ONE_FUNCTION && index < FIELDS)) {
        *out = (stoa_step){STOA_STEP_ATTRIBUTE, 0, NULL, level == DESCRIPTION ? "__closure__" : names[index]};
    }
    else if (cells || level == VALUES) {
        stoa_level function = level_of(arg, i - 1);
        PyObject *keys = !cells && function.index > DEFAULTS
                             ? stoa__slot_object(function.parts[function.index - 1])
                             : NULL;
        bool named = keys != NULL && PyTuple_CheckExact(keys) &&
                     (Py_ssize_t)(index / 2) < PyTuple_GET_SIZE(keys);
        *out = (stoa_step){named ? STOA_STEP_VALUE : STOA_STEP_INDEX, index / 2,
                           named ? PyTuple_GET_ITEM(keys, (Py_ssize_t)(index / 2)) : NULL, NULL};
    }
    return true;
}

/* ---- objects taken apart ------------------------------------------------------------------------------------------- */

enum { ARGUMENTS = 1, MARKS, STATE, ITEMS, PAIRS }; /* of a CALL node: reduce.c */

/* The mark of the state (0), or of an argument (1 …). */
static const char *
mark_of(PyObject *text, size_t number)
{
    const char *at = PyUnicode_CheckExact(text) ? PyUnicode_AsUTF8(text) : NULL;
    for (PyErr_Clear(); at != NULL && *at != '\0' && number > 0; number--) {
        const char *end = *at == '(' ? strchr(at, ')') : at;
        at = end == NULL ? NULL : end + 1;
    }
    return at == NULL ? "" : at;
}

/* Is level `i` a dict that was flattened, directly in part `part` of the call `up` levels above? */
static bool
is_flat(stoa_level_fn level_of, const void *arg, size_t i, size_t up, const stoa_level *call)
{
    if (call->index == PAIRS) {
        return up == 1;
    }
    bool state = call->index == STATE;
    if (!state && call->index != ARGUMENTS) {
        return false;
    }
    size_t above = state ? 1 : 2; /* the state itself is flat, or an argument is */
    if (up < above || up > above + 1) {
        return false;
    }
    size_t number = state ? 0 : 1 + level_of(arg, i - up + 1).index;
    const char *mark = mark_of(stoa__slot_object(call->parts[MARKS]), number);
    if (up == above) {
        return *mark == 'd';
    }
    size_t inside = level_of(arg, i - 1).index;
    return *mark == '(' && inside < strcspn(mark + 1, ")") && mark[1 + inside] == 'd';
}

static bool
step_in_call(stoa_level_fn level_of, const void *arg, size_t i, stoa_step *out)
{
    for (size_t up = 1; up <= 3 && up <= i; up++) {
        stoa_level call = level_of(arg, i - up);
        if (call.kind == STOA_NODE_CALL) {
            if (!is_flat(level_of, arg, i, up, &call)) {
                return false;
            }
            stoa_level flat = level_of(arg, i);
            *out = flat.index % 2 == 0 ? (stoa_step){STOA_STEP_KEY, flat.index / 2, NULL, NULL}
                                       : (stoa_step){STOA_STEP_VALUE, flat.index / 2,
                                                     stoa__slot_object(flat.parts[flat.index - 1]), NULL};
            return true;
        }
    }
    return false;
}

bool
stoa__described_step(stoa_level_fn level, const void *arg, size_t i, stoa_step *out)
{
    return step_in_function(level, arg, i, out) || step_in_call(level, arg, i, out);
}
