// An outside host in C++17: builds an object from C data with no GIL, then Python looks at it.
#include <stoa/build.h>
#include <stoa/error.h>
#include <stoa/python.h>
#include <stoa/value.h>
#include <stoa/version.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

static const stoa_object *
build(std::string &problem)
{
    stoa_builder *builder = nullptr;
    const stoa_object *object = nullptr;
    constexpr std::string_view words[] = {"stoa", "\xcf\x83\xcf\x84\xce\xbf\xce\xac"};
    stoa_err err = stoa_builder_new(nullptr, 0, &builder);
    if (err == STOA_OK) {
        err = stoa_begin_tuple(builder);
    }
    for (std::string_view word : words) {
        if (err == STOA_OK) {
            err = stoa_push_text(builder, word.data(), word.size());
        }
    }
    if (err == STOA_OK) {
        err = stoa_push_int64(builder, 42);
    }
    if (err == STOA_OK) {
        err = stoa_end(builder);
    }
    if (err == STOA_OK) {
        err = stoa_builder_finish(builder, &object);
    }
    if (err != STOA_OK) {
        problem = stoa_error_message();
    }
    stoa_builder_free(builder);
    return object;
}

int
main()
{
    Py_Initialize();
    PyObject *module = PyImport_ImportModule("stoa");
    std::string problem;
    const stoa_object *object = nullptr;
    Py_BEGIN_ALLOW_THREADS
    std::thread worker([&] { object = build(problem); });
    worker.join();
    Py_END_ALLOW_THREADS
    int result = 1;
    if (module == nullptr) {
        PyErr_Print();
    } else if (object == nullptr) {
        std::fprintf(stderr, "%s\n", problem.c_str());
    } else {
        PyObject *seen = stoa_object_to_python(object);
        PyObject *text = seen != nullptr ? PyObject_ASCII(seen) : nullptr;
        const char *utf8 = text != nullptr ? PyUnicode_AsUTF8(text) : nullptr;
        if (utf8 == nullptr) {
            PyErr_Print();
        } else if (std::string_view(utf8) == "('stoa', '\\u03c3\\u03c4\\u03bf\\u03ac', 42)") {
            result = 0;
        } else {
            std::fprintf(stderr, "unexpected: %s\n", utf8);
        }
        Py_XDECREF(text);
        Py_XDECREF(seen);
    }
    Py_XDECREF(module);
    if (Py_FinalizeEx() < 0 || result != 0) {
        return 1;
    }
    std::printf("C++17, Stoa %s: good\n", STOA_VERSION_STRING);
    return 0;
}
