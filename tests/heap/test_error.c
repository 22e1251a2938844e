#include "heap/error.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>
#include <cmocka.h>

static void
every_code_has_a_name_and_a_text(void **state)
{
    (void)state;
#define CHECK(symbol, number, text)                      \
    assert_string_equal(stoa_err_name(symbol), #symbol); \
    assert_string_equal(stoa_err_text(symbol), text);
    STOA_ERROR_TABLE(CHECK)
#undef CHECK
    assert_string_equal(stoa_err_name((stoa_err)12345), "STOA_E?");
    assert_string_equal(stoa_err_name((stoa_err)-1), "STOA_E?");
    assert_true(strlen(stoa_err_text((stoa_err)12345)) > 0);
}

static void *
see_empty_then_fail(void *unused)
{
    (void)unused;
    const char *before = stoa_error_message();
    stoa__fail(STOA_ESTATE, "from the other thread");
    return strcmp(before, "") == 0 ? &see_empty_then_fail : NULL;
}

static void
message_belongs_to_its_thread(void **state)
{
    (void)state;
    assert_int_equal(stoa__fail(STOA_EINVAL, "argument %d is %s", 2, "bad"), STOA_EINVAL);
    assert_string_equal(stoa_error_message(), "STOA_EINVAL: argument 2 is bad");
    pthread_t thread;
    void *was_empty = NULL;
    assert_int_equal(pthread_create(&thread, NULL, see_empty_then_fail, NULL), 0);
    assert_int_equal(pthread_join(thread, &was_empty), 0);
    assert_non_null(was_empty);
    assert_string_equal(stoa_error_message(), "STOA_EINVAL: argument 2 is bad");
}

static void
long_messages_grow_and_very_long_ones_are_cut(void **state)
{
    (void)state;
    for (size_t size = 200; size < 300; size++) { /* around the size that needs no allocation */
        char *text = calloc(1, size + 1);
        memset(text, 'x', size);
        stoa__fail(STOA_ENOTFOUND, "%s", text);
        const char *message = stoa_error_message();
        assert_int_equal(strlen(message), strlen("STOA_ENOTFOUND: ") + size);
        assert_memory_equal(message + strlen("STOA_ENOTFOUND: "), text, size);
        free(text);
    }
    size_t size = 1000000;
    char *text = calloc(1, size + 1);
    for (size_t i = 0; i + 1 < size; i += 2) {
        memcpy(text + i, "\xc3\xa9", 2); /* two bytes a letter: the cut must not halve one */
    }
    stoa__fail(STOA_ENOTFOUND, "%s", text);
    const char *message = stoa_error_message();
    size_t length = strlen(message);
    assert_true(length > 60000 && length < 70000);
    assert_string_equal(message + length - 3, "...");
    assert_int_equal((unsigned char)message[length - 4], 0xa9);
    stoa__fail(STOA_ENOTFOUND, "x%s", text);
    message = stoa_error_message();
    length = strlen(message);
    assert_string_equal(message + length - 3, "...");
    assert_int_equal((unsigned char)message[length - 4], 0xa9);
    free(text);
}

static void
message_may_quote_the_one_before(void **state)
{
    (void)state;
    stoa__fail(STOA_EGONE, "inner");
    for (int i = 0; i < 40; i++) { /* from the short buffer into the grown one, and on */
        stoa__fail(STOA_ESTATE, "outer %d; %s", i, stoa_error_message());
    }
    const char *message = stoa_error_message();
    assert_memory_equal(message, "STOA_ESTATE: outer 39; STOA_ESTATE: outer 38; ", 46);
    assert_non_null(strstr(message, "STOA_ESTATE: outer 0; STOA_EGONE: inner"));
}

static void
system_errors_keep_errno_and_tell_it(void **state)
{
    (void)state;
    errno = ERANGE;
    assert_int_equal(stoa__fail_os(EACCES, "cannot open '%s'", "/x"), STOA_EOS);
    assert_int_equal(errno, ERANGE);
    assert_string_equal(stoa_error_message(), "STOA_EOS: cannot open '/x': Permission denied (errno 13)");
    assert_int_equal(stoa__fail_os(ENOMEM, "no room"), STOA_ENOMEM);
    assert_memory_equal(stoa_error_message(), "STOA_ENOMEM: no room: ", 22);
    assert_int_equal(stoa__fail_os(98765, "strange"), STOA_EOS);
    assert_non_null(strstr(stoa_error_message(), "98765"));
    char text[1000];
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = 0;
    stoa__fail_os(EACCES, "%s", text);
    assert_int_equal(strlen(stoa_error_message()), 10 + 999 + strlen(": Permission denied (errno 13)"));
    assert_int_equal(errno, ERANGE);
}

static void
text_that_cannot_be_formatted_still_gives_the_code(void **state)
{
    (void)state;
    stoa__fail(STOA_ECYCLE, "%lc", (wint_t)0x110000); /* no such character */
    assert_memory_equal(stoa_error_message(), "STOA_ECYCLE: ", 13);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void
out_of_memory_cuts_the_message(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_AS, &none);
        void *volatile taken; /* volatile: gcc 16 takes out a malloc whose result nobody needs, and loops for ever */
        do {                  /* what malloc had in store */
            taken = malloc(16);
        } while (taken != NULL);
        char text[2000];
        memset(text, 'z', sizeof text);
        text[sizeof text - 1] = 0;
        int code = stoa__fail(STOA_ENOMEM, "%s", text) == STOA_ENOMEM ? 0 : 1;
        const char *message = stoa_error_message();
        size_t length = strlen(message);
        if (strncmp(message, "STOA_ENOMEM: zzz", 16) != 0 || length < 200 ||
            strcmp(message + length - 3, "...") != 0) {
            code = 2;
        }
        _exit(code);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_name_and_a_text),
        cmocka_unit_test(message_belongs_to_its_thread),
        cmocka_unit_test(long_messages_grow_and_very_long_ones_are_cut),
        cmocka_unit_test(message_may_quote_the_one_before),
        cmocka_unit_test(system_errors_keep_errno_and_tell_it),
        cmocka_unit_test(text_that_cannot_be_formatted_still_gives_the_code),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(out_of_memory_cuts_the_message),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
