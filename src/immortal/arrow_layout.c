#include "immortal/arrow_tree.h"

#include <stdlib.h>
#include <string.h>

/* Numbers after the colon: "w:16", "d:38,10,256". How many there were; others stay as they are. */
static int
read_numbers(const char *format, long *out, int most)
{
    int count = 0;
    for (const char *at = strchr(format, ':'); at != NULL && count < most; count++) {
        char *end;
        long number = strtol(at + 1, &end, 10);
        if (end == at + 1 || (*end != ',' && *end != '\0')) {
            return 0;
        }
        out[count] = number;
        at = *end == ',' ? end : NULL;
    }
    return count;
}

int64_t
stoa__arrow_fixed_width(const char *format)
{
    static const struct {
        const char *format;
        int64_t width;
    } widths[] = {{"c", 1},   {"C", 1},   {"s", 2},   {"S", 2},   {"i", 4},   {"I", 4},
                  {"l", 8},   {"L", 8},   {"e", 2},   {"f", 4},   {"g", 8},   {"tdD", 4},
                  {"tdm", 8}, {"tts", 4}, {"ttm", 4}, {"ttu", 8}, {"ttn", 8}, {"tDs", 8},
                  {"tDm", 8}, {"tDu", 8}, {"tDn", 8}, {"tiM", 4}, {"tiD", 8}, {"tin", 16}};
    long numbers[3] = {0, 0, 128};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(widths); i++) {
        if (strcmp(format, widths[i].format) == 0) {
            return widths[i].width;
        }
    }
    if (format[0] == 't' && format[1] == 's' && format[2] != '\0' && strchr("smun", format[2]) != NULL &&
        format[3] == ':') {
        return 8;
    }
    if (strncmp(format, "w:", 2) == 0 && read_numbers(format, numbers, 1) == 1 && numbers[0] > 0 &&
        numbers[0] < INT32_MAX) {
        return numbers[0];
    }
    bool decimal = strncmp(format, "d:", 2) == 0 && read_numbers(format, numbers, 3) >= 2;
    return decimal && (numbers[2] == 32 || numbers[2] == 64 || numbers[2] == 128 || numbers[2] == 256)
               ? numbers[2] / 8
               : 0;
}

int
stoa__arrow_type_codes(const char *format, int8_t children[128])
{
    int count = 0;
    memset(children, -1, 128);
    if (strncmp(format, "+us:", 4) != 0 && strncmp(format, "+ud:", 4) != 0) {
        return -1;
    }
    for (const char *at = format + 4; *at != '\0'; count++) {
        char *end;
        long code = strtol(at, &end, 10);
        if (end == at || (*end != ',' && *end != '\0') || (*end == ',' && end[1] == '\0') || code < 0 ||
            code > 127 || children[code] >= 0) {
            return -1;
        }
        children[code] = (int8_t)count;
        at = *end == ',' ? end + 1 : end;
    }
    return count;
}

int64_t
stoa__arrow_end_width(const char *format)
{
    bool known = format[0] != '\0' && format[1] == '\0' && strchr("sil", format[0]) != NULL;
    return known ? stoa__arrow_fixed_width(format) : 0;
}

bool
stoa__arrow_layout(const char *format, stoa_arrow_layout *out)
{
    static const struct {
        const char *format;
        stoa_arrow_layout layout;
    } plain[] = {{"n", {STOA_ARROW_NULL, 0, 0, 0}},         {"b", {STOA_ARROW_BITS, 0, 2, 0}},
                 {"u", {STOA_ARROW_BYTES, 4, 3, 0}},        {"z", {STOA_ARROW_BYTES, 4, 3, 0}},
                 {"U", {STOA_ARROW_BYTES, 8, 3, 0}},        {"Z", {STOA_ARROW_BYTES, 8, 3, 0}},
                 {"+l", {STOA_ARROW_LIST, 4, 2, 1}},        {"+m", {STOA_ARROW_LIST, 4, 2, 1}},
                 {"+L", {STOA_ARROW_LIST, 8, 2, 1}},        {"+s", {STOA_ARROW_STRUCT, 0, 1, -1}},
                 {"vu", {STOA_ARROW_VIEWS, 16, 2, 0}},      {"vz", {STOA_ARROW_VIEWS, 16, 2, 0}},
                 {"+vl", {STOA_ARROW_LIST_VIEWS, 4, 3, 1}}, {"+vL", {STOA_ARROW_LIST_VIEWS, 8, 3, 1}},
                 {"+r", {STOA_ARROW_RUNS, 0, 0, 2}}};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(plain); i++) {
        if (strcmp(format, plain[i].format) == 0) {
            *out = plain[i].layout;
            return true;
        }
    }
    long width;
    if (strncmp(format, "+w:", 3) == 0 && read_numbers(format, &width, 1) == 1 && width >= 0 &&
        width <= INT32_MAX) {
        *out = (stoa_arrow_layout){STOA_ARROW_FIXED_LIST, width, 1, 1};
        return true;
    }
    int8_t children[128];
    int count = stoa__arrow_type_codes(format, children);
    if (count >= 0) {
        *out = format[2] == 's' ? (stoa_arrow_layout){STOA_ARROW_SPARSE, 0, 1, count}
                                : (stoa_arrow_layout){STOA_ARROW_DENSE, 4, 2, count};
        return true;
    }
    *out = (stoa_arrow_layout){STOA_ARROW_FIXED, stoa__arrow_fixed_width(format), 2, 0};
    if (out->width == 0) {
        PyErr_Format(
            PyExc_TypeError,
            "an Arrow array of type '%.32s' has no form in the heap; cast it, or freeze() its to_pylist()",
            format);
    }
    return out->width != 0;
}
