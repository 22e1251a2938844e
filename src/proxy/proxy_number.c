/* The operators. The left operand's owner does the whole operation, reflected attempts included. Where only the right one
 * is a proxy, the interpreter has asked the left operand already, so the right object's own slot is all that is called:
 * were it the whole operation, two interpreters could ask each other for ever. */
#include "proxy/proxy_type.h"
#include "proxy/request.h"

typedef struct binary_row {
    binaryfunc whole;
    size_t slot; /* offset in PyNumberMethods */
} binary_row;

enum {
    ADD,
    SUBTRACT,
    MULTIPLY,
    REMAINDER,
    DIVMOD,
    LSHIFT,
    RSHIFT,
    AND,
    XOR,
    OR,
    FLOOR_DIVIDE,
    TRUE_DIVIDE,
    MATRIX_MULTIPLY
};

static const binary_row rows[] = {
    {PyNumber_Add, offsetof(PyNumberMethods, nb_add)},
    {PyNumber_Subtract, offsetof(PyNumberMethods, nb_subtract)},
    {PyNumber_Multiply, offsetof(PyNumberMethods, nb_multiply)},
    {PyNumber_Remainder, offsetof(PyNumberMethods, nb_remainder)},
    {PyNumber_Divmod, offsetof(PyNumberMethods, nb_divmod)},
    {PyNumber_Lshift, offsetof(PyNumberMethods, nb_lshift)},
    {PyNumber_Rshift, offsetof(PyNumberMethods, nb_rshift)},
    {PyNumber_And, offsetof(PyNumberMethods, nb_and)},
    {PyNumber_Xor, offsetof(PyNumberMethods, nb_xor)},
    {PyNumber_Or, offsetof(PyNumberMethods, nb_or)},
    {PyNumber_FloorDivide, offsetof(PyNumberMethods, nb_floor_divide)},
    {PyNumber_TrueDivide, offsetof(PyNumberMethods, nb_true_divide)},
    {PyNumber_MatrixMultiply, offsetof(PyNumberMethods, nb_matrix_multiply)},
};

static const binaryfunc in_place[] = {
    PyNumber_InPlaceAdd,
    PyNumber_InPlaceSubtract,
    PyNumber_InPlaceMultiply,
    PyNumber_InPlaceRemainder,
    NULL,
    PyNumber_InPlaceLshift,
    PyNumber_InPlaceRshift,
    PyNumber_InPlaceAnd,
    PyNumber_InPlaceXor,
    PyNumber_InPlaceOr,
    PyNumber_InPlaceFloorDivide,
    PyNumber_InPlaceTrueDivide,
    PyNumber_InPlaceMatrixMultiply,
};

/* ---- inside the owner -------------------------------------------------------------------------------------------- */

static PyObject *
do_whole(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    return rows[op->extra].whole(target, args[0]);
}

static PyObject *
do_in_place(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    return in_place[op->extra](target, args[0]);
}

/* `left` is no number to itself: sequences are added by the left one, repeated by the right one. */
static PyObject *
do_sequence(PyObject *left, PyObject *target, uintptr_t which)
{
    const PySequenceMethods *of_left = Py_TYPE(left)->tp_as_sequence;
    const PySequenceMethods *of_target = Py_TYPE(target)->tp_as_sequence;
    if (which == ADD && !stoa__is_proxy(left) && of_left != NULL && of_left->sq_concat != NULL) {
        return of_left->sq_concat(left, target);
    }
    if (which == MULTIPLY && of_target != NULL && of_target->sq_repeat != NULL && PyIndex_Check(left)) {
        return PySequence_Repeat(target, PyNumber_AsSsize_t(left, PyExc_OverflowError));
    }
    Py_RETURN_NOTIMPLEMENTED;
}

static PyObject *
do_reflected(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    const PyNumberMethods *numbers = Py_TYPE(target)->tp_as_number;
    binaryfunc slot = numbers == NULL ? NULL
                                      : *(const binaryfunc *)((const char *)numbers + rows[op->extra].slot);
    PyObject *result = slot == NULL ? Py_NewRef(Py_NotImplemented) : slot(args[0], target);
    if (result == Py_NotImplemented && (op->extra == ADD || op->extra == MULTIPLY)) {
        Py_DECREF(result);
        result = do_sequence(args[0], target, op->extra);
    }
    return result;
}

static PyObject *
do_power(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)count;
    if (op->extra == 0) {
        return PyNumber_Power(target, args[0], args[1]);
    }
    if (op->extra == 1) {
        return PyNumber_InPlacePower(target, args[0], args[1]);
    }
    const PyNumberMethods *numbers = Py_TYPE(target)->tp_as_number;
    if (numbers == NULL || numbers->nb_power == NULL) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return numbers->nb_power(args[0], target, args[1]);
}

typedef PyObject *(*unary_fn)(PyObject *);

static PyObject *
do_unary(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    return ((unary_fn)op->extra)(target);
}

static PyObject *
do_bool(PyObject *target, PyObject *const *args, Py_ssize_t count, stoa_operation *op)
{
    (void)args;
    (void)count;
    (void)op;
    int truth = PyObject_IsTrue(target);
    return truth < 0 ? NULL : PyBool_FromLong(truth);
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static PyObject *
binary(PyObject *left, PyObject *right, uintptr_t which)
{
    if (stoa__is_proxy(left)) {
        return stoa__request(left, do_whole, &right, 1, STOA_REQUEST_BAG, which);
    }
    return stoa__request(right, do_reflected, &left, 1, STOA_REQUEST_BAG, which);
}

#define BINARY(name, which)                                        \
    static PyObject *proxy_##name(PyObject *left, PyObject *right) \
    {                                                              \
        return binary(left, right, which);                         \
    }
#define BOTH(name, which)                                                            \
    BINARY(name, which)                                                              \
    static PyObject *proxy_inplace_##name(PyObject *left, PyObject *right)           \
    {                                                                                \
        return stoa__request(left, do_in_place, &right, 1, STOA_REQUEST_BAG, which); \
    }
#define UNARY(name, function)                                                    \
    static PyObject *proxy_##name(PyObject *self)                                \
    {                                                                            \
        return stoa__request(self, do_unary, NULL, 0, 0, (uintptr_t)(function)); \
    }

BOTH(add, ADD)
BOTH(subtract, SUBTRACT)
BOTH(multiply, MULTIPLY)
BOTH(remainder, REMAINDER)
BINARY(divmod, DIVMOD)
BOTH(lshift, LSHIFT)
BOTH(rshift, RSHIFT)
BOTH(and, AND)
BOTH(xor, XOR)
BOTH(or, OR)
BOTH(floor_divide, FLOOR_DIVIDE)
BOTH(true_divide, TRUE_DIVIDE)
BOTH(matrix_multiply, MATRIX_MULTIPLY)
UNARY(negative, PyNumber_Negative)
UNARY(positive, PyNumber_Positive)
UNARY(absolute, PyNumber_Absolute)
UNARY(invert, PyNumber_Invert)
UNARY(int, PyNumber_Long)
UNARY(float, PyNumber_Float)
UNARY(index, PyNumber_Index)

static PyObject *
proxy_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    if (stoa__is_proxy(base)) {
        return stoa__request(base, do_power, (PyObject *[]){exponent, modulus}, 2, 0, 0);
    }
    if (stoa__is_proxy(exponent)) {
        return stoa__request(exponent, do_power, (PyObject *[]){base, modulus}, 2, 0, 2);
    }
    Py_RETURN_NOTIMPLEMENTED;
}

static PyObject *
proxy_inplace_power(PyObject *base, PyObject *exponent, PyObject *modulus)
{
    return stoa__request(base, do_power, (PyObject *[]){exponent, modulus}, 2, 0, 1);
}

static int
proxy_bool(PyObject *self)
{
    PyObject *truth = stoa__request(self, do_bool, NULL, 0, 0, 0);
    Py_XDECREF(truth); /* immortal */
    return truth == NULL ? -1 : truth == Py_True;
}

#define PAIR(name)                                         \
    {Py_nb_##name, (void *)proxy_##name},                  \
    {                                                      \
        Py_nb_inplace_##name, (void *)proxy_inplace_##name \
    }

const PyType_Slot stoa__proxy_number_slots[] = {
    PAIR(add),
    PAIR(subtract),
    PAIR(multiply),
    PAIR(remainder),
    {Py_nb_divmod, (void *)proxy_divmod},
    PAIR(power),
    PAIR(lshift),
    PAIR(rshift),
    PAIR(and),
    PAIR(xor),
    PAIR(or),
    PAIR(floor_divide),
    PAIR(true_divide),
    PAIR(matrix_multiply),
    {Py_nb_negative, (void *)proxy_negative},
    {Py_nb_positive, (void *)proxy_positive},
    {Py_nb_absolute, (void *)proxy_absolute},
    {Py_nb_invert, (void *)proxy_invert},
    {Py_nb_bool, (void *)proxy_bool},
    {Py_nb_int, (void *)proxy_int},
    {Py_nb_float, (void *)proxy_float},
    {Py_nb_index, (void *)proxy_index},
    {0, NULL},
};
