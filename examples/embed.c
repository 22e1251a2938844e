/* Embedding: two interpreters in a C program, one table for both. */
#include <stdio.h>
#include <stoa.h>

int
main(void)
{
    stoa_interp *one, *two;
    stoa_data result = stoa_data_none();
    if (stoa_runtime_open(NULL) != STOA_OK || stoa_interp_new("one", false, &one) != STOA_OK ||
        stoa_interp_new("two", false, &two) != STOA_OK ||
        stoa_exec(one, "def load(): return {'apple': 120, 'pear': [95, 97]}", NULL, NULL) != STOA_OK ||
        stoa_call(one, "__main__:load", NULL, 0, STOA_CALL_FREEZE_RESULT, &result, NULL) != STOA_OK ||
        stoa_call(two, "builtins:repr", &result, 1, 0, &result, NULL) != STOA_OK) {
        fprintf(stderr, "%s\n", stoa_error_message());
        return 1;
    }
    printf("made in one, seen by two: %s\n", result.as.text.at);
    stoa_data_clear(&result);
    stoa_interp_free(one);
    stoa_interp_free(two);
    return stoa_runtime_close() == STOA_OK ? 0 : 1;
}
