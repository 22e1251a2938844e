/* What the tests of handles share: the Python code of the owners, and what is asked of it. */
#ifndef STOA_TESTS_HANDLE_TESTING_H
#define STOA_TESTS_HANDLE_TESTING_H

#include "host_testing.h"

static const char handle_code[] = "import weakref\n"
                                  "class Account:\n"
                                  "    'mutable, and told when it goes'\n"
                                  "    def __init__(self, total): self.total = total\n"
                                  "    def add(self, amount):\n"
                                  "        self.total += amount\n"
                                  "        return self.total\n"
                                  "    def __del__(self): gone.append(self.total)\n"
                                  "gone = []\n"
                                  "table = {'apple': 120, b'b': [1, 2], 3: None}\n"
                                  "def same(x): return x\n"
                                  "def is_table(x): return x is table\n"
                                  "def kind(x): return type(x).__name__\n"
                                  "def fail(text): raise ValueError(text)\n"
                                  "def named(a, *rest, b=0, **more): return repr((a, rest, b, more))\n"
                                  "def count(n):\n"
                                  "    for i in range(n): yield i\n"
                                  "    if n == 3: raise LookupError('three')\n"
                                  "def value(text): return eval(text)\n";

static inline stoa_interp *
make(const char *name)
{
    return interp_with(name, handle_code);
}

static inline stoa_handle
get(stoa_interp *interp, const char *name)
{
    stoa_handle handle = 0;
    OK(stoa_handle_get(interp, name, FOREVER, &handle, NULL));
    assert_true(handle != 0);
    return handle;
}

static inline stoa_data
text(const char *utf8)
{
    return stoa_data_text(utf8, strlen(utf8));
}

static inline int64_t
number(stoa_interp *interp, const char *expression)
{
    stoa_data in = text(expression), out;
    OK(stoa_call(interp, "__main__:value", &in, 1, 0, &out, NULL));
    assert_int_equal(out.kind, STOA_DATA_INT);
    return out.as.integer;
}

#endif
