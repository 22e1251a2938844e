/* An embedded Python that can freeze, for cmocka groups of the layer `immortal`. */
#ifndef STOA_TESTS_PYTHON_IMMORTAL_H
#define STOA_TESTS_PYTHON_IMMORTAL_H

/* Group set-up: that of python_embed.h, with the process and the canonical objects open as well. */
int stoa_test_immortal_setup(void **state);

/* The value of an expression, frozen into the default region: the object in the heap, a node for one of a class. */
const struct stoa_object *stoa_test_frozen(const char *expression);

#endif
