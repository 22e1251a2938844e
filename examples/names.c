/* Names and the builder: a thread that Python has never seen builds a table and publishes it; Python waits for it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stoa.h>

static void
check(stoa_err err)
{
    if (err != STOA_OK) {
        fprintf(stderr, "names: %s\n", stoa_error_message());
        exit(1);
    }
}

/* No GIL and no interpreter is needed here. */
static void *
build(void *arg)
{
    static const char *const words[] = {"zero", "one", "two", "three"};
    stoa_builder *builder;
    const stoa_object *table;
    check(stoa_builder_new(NULL, 0, &builder));
    check(stoa_begin_mapping(builder));
    for (int i = 0; i < 4; i++) {
        check(stoa_push_text(builder, words[i], strlen(words[i])));
        check(stoa_begin_tuple(builder));
        check(stoa_push_int64(builder, i));
        check(stoa_push_double(builder, i / 2.0));
        check(stoa_end(builder));
    }
    check(stoa_end(builder));
    check(stoa_builder_finish(builder, &table));
    check(stoa_publish("numbers", table));
    stoa_builder_free(builder);
    return arg;
}

int
main(void)
{
    pthread_t thread;
    const stoa_object *table, *pair, *half;
    double value;
    stoa_interp *reader;
    check(stoa_runtime_open(NULL));
    check(stoa_interp_new("reader", false, &reader));
    if (pthread_create(&thread, NULL, build, NULL) != 0) {
        return 1;
    }
    /* Python in the other interpreter waits until the name is there, and gets the object itself. */
    check(stoa_exec(reader,
                    "import stoa\n"
                    "numbers = stoa.lookup('numbers', timeout=10)\n"
                    "print('Python:', numbers['three'], stoa.is_shared(numbers))\n"
                    "assert list(numbers) == ['zero', 'one', 'two', 'three']\n",
                    "reader", NULL));
    pthread_join(thread, NULL);

    /* So does C, with no GIL. */
    check(stoa_lookup("numbers", 0.0, &table));
    check(stoa_mapping_get_text(table, "three", 5, &pair));
    check(stoa_tuple_item(pair, 1, &half));
    check(stoa_get_double(half, &value));
    printf("C: the half of three is %g\n", value);
    stoa_interp_free(reader);
    check(stoa_runtime_close());
    return value == 1.5 ? 0 : 1;
}
