#include "heap_testing.h"

#include "heap_copy.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>

/* This process stays without a heap: every test works in a child of its own. */

static char copy_path[PATH_MAX + 16];

static const heap_copy *
load_copy(Lmid_t namespace)
{
    void *library = namespace == LM_ID_BASE ? dlopen(copy_path, RTLD_NOW | RTLD_LOCAL)
                                            : dlmopen(namespace, copy_path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    heap_copy_fn get;
    *(void **)&get = dlsym(library, "heap_copy_get");
    return get != NULL ? get() : NULL;
}

static void
skip_without_namespaces(void)
{
    const char *sanitizer = getenv("STOA_SANITIZE");
    if (sanitizer != NULL && *sanitizer != '\0') {
        skip(); /* a sanitizer's run-time exists once a process */
    }
}

static stoa_err
publish(const char *name, const void *object)
{
    stoa_value value = {.kind = STOA_VALUE_OBJECT, .object = object};
    return stoa__name_publish(name, strlen(name), &value);
}

static const void *
look_up(const char *name)
{
    stoa_value value;
    return stoa__name_lookup(name, strlen(name), NULL, &value) == STOA_OK ? value.object : NULL;
}

/* Both are open: everything is one. */
static void
check_shared(const heap_copy *copy)
{
    CHECK(copy->process() == stoa__process);
    for (uint64_t i = 0; i < 1000; i++) {
        const toy *mine = toy_freeze(NULL, i, 64);
        CHECK(copy->freeze(i, 64) == mine);
        const toy *theirs = copy->freeze(1000000 + i, 64);
        CHECK(theirs != NULL && toy_freeze(NULL, 1000000 + i, 64) == theirs);
        CHECK(toy_is_whole(mine, i) && toy_is_whole(theirs, 1000000 + i));
    }
    CHECK(copy->freeze(5, 64) != NULL && copy->freeze(7, 20 * MIB) != NULL);
    const toy *object = toy_freeze(NULL, 77, 64);
    CHECK(publish("mine", object) == STOA_OK);
    CHECK(copy->look_up("mine") == object);
    CHECK(copy->publish("mine", object) == STOA_EEXIST);
    CHECK(strncmp(copy->message(), "STOA_EEXIST: ", 13) == 0);
    CHECK(copy->publish("theirs", copy->freeze(78, 64)) == STOA_OK);
    CHECK(look_up("theirs") == toy_freeze(NULL, 78, 64));
    check_heap();
    copy->check();
}

/* In a child of a process with two copies, whichever's handlers for fork ran. */
static const heap_copy *current_copy;

static void
use_both_in_child(void)
{
    CHECK(stoa__fork_generation() == 1);
    CHECK(current_copy->look_up("mine") == toy_freeze(NULL, 77, 64));
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK(current_copy->freeze(5000000 + i, 64) == toy_freeze(NULL, 5000000 + i, 64));
    }
    CHECK(current_copy->freeze(6000000, 10 * MIB) != NULL);
    check_heap();
    current_copy->check();
}

static void
main_first_copy_second(void)
{
    CHECK(stoa__process_open() == STOA_OK);
    CHECK(stoa__process_open() == STOA_OK);
    const heap_copy *copy = load_copy(LM_ID_BASE);
    CHECK(copy != NULL && copy->process() == NULL);
    CHECK(copy->open() == STOA_OK);
    check_shared(copy);
    current_copy = copy;
    CHECK(in_child(use_both_in_child) == 0);
    CHECK(toy_is_whole(copy->freeze(5, 64), 5));
}

static void
copy_first_main_second(void)
{
    const heap_copy *copy = load_copy(LM_ID_BASE);
    CHECK(copy != NULL && copy->open() == STOA_OK);
    CHECK(stoa__process == NULL);
    CHECK(copy->freeze(1, 64) != NULL);
    CHECK(stoa__process_open() == STOA_OK);
    check_shared(copy);
    current_copy = copy;
    CHECK(in_child(use_both_in_child) == 0);
}

static void
other_namespace_second(void)
{
    CHECK(stoa__process_open() == STOA_OK);
    const heap_copy *copy = load_copy(LM_ID_NEWLM);
    CHECK(copy != NULL && copy->open() == STOA_OK);
    check_shared(copy);
    current_copy = copy;
    CHECK(in_child(use_both_in_child) == 0);
}

static void
other_namespace_first(void)
{
    const heap_copy *copy = load_copy(LM_ID_NEWLM);
    CHECK(copy != NULL && copy->open() == STOA_OK);
    CHECK(copy->freeze(1, 64) != NULL);
    CHECK(stoa__process_open() == STOA_OK);
    check_shared(copy);
    current_copy = copy;
    CHECK(in_child(use_both_in_child) == 0);
}

static void
other_version_is_refused(void)
{
    CHECK(stoa__process_open() == STOA_OK);
    stoa__process->version++;
    const heap_copy *copy = load_copy(LM_ID_BASE);
    CHECK(copy != NULL && copy->open() == STOA_EVERSION);
    CHECK(strstr(copy->message(), "install one version") != NULL);
    stoa__process->version--;
    stoa__process->size -= 8;
    CHECK(copy->open() == STOA_EVERSION);
    stoa__process->size += 8;
    CHECK(copy->open() == STOA_OK);
    check_shared(copy);
}

static pthread_barrier_t barrier;
static const heap_copy *racing_copy;

static void *
open_copy(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    CHECK(racing_copy->open() == STOA_OK);
    return NULL;
}

static void *
open_main(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    CHECK(stoa__process_open() == STOA_OK);
    return NULL;
}

static void
all_open_at_once(void)
{
    racing_copy = load_copy(LM_ID_BASE);
    CHECK(racing_copy != NULL);
    pthread_barrier_init(&barrier, NULL, 4);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, i % 2 != 0 ? open_copy : open_main, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    check_shared(racing_copy);
}

static void
fork_before_open(void)
{
    const heap_copy *copy = load_copy(LM_ID_BASE);
    CHECK(copy != NULL);
    CHECK(in_child(all_open_at_once) == 0);
    CHECK(stoa__process == NULL && copy->process() == NULL);
    CHECK(stoa__process_open() == STOA_OK && copy->open() == STOA_OK);
    check_shared(copy);
}

#define CHILD_TEST(name)                     \
    static void test_##name(void **state)    \
    {                                        \
        (void)state;                         \
        assert_int_equal(in_child(name), 0); \
    }
#define NAMESPACE_TEST(name)                 \
    static void test_##name(void **state)    \
    {                                        \
        (void)state;                         \
        skip_without_namespaces();           \
        assert_int_equal(in_child(name), 0); \
    }

CHILD_TEST(main_first_copy_second)
CHILD_TEST(copy_first_main_second)
NAMESPACE_TEST(other_namespace_second)
NAMESPACE_TEST(other_namespace_first)
CHILD_TEST(other_version_is_refused)
CHILD_TEST(all_open_at_once)
CHILD_TEST(fork_before_open)

int
main(void)
{
    char self[PATH_MAX] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) {
        return 1;
    }
    snprintf(copy_path, sizeof copy_path, "%s/heap_copy.so", dirname(self));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_main_first_copy_second),   cmocka_unit_test(test_copy_first_main_second),
        cmocka_unit_test(test_other_namespace_second),   cmocka_unit_test(test_other_namespace_first),
        cmocka_unit_test(test_other_version_is_refused), cmocka_unit_test(test_all_open_at_once),
        cmocka_unit_test(test_fork_before_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
