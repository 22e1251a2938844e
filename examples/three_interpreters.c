/* A host whose worker threads call into three interpreters: each has its own state and its own GIL, and no thread here has
 * ever been seen by Python. What the host holds of them are handles; what they can call of the host is a callback. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <stoa.h>

enum { PRICES, STOCK, REPORT, INTERPRETERS, WORKERS = 4, ORDERS = 500 };

static const char *const sources[INTERPRETERS] = {
    "prices = {'apple': 1.20, 'pear': 0.95}\n"
    "def price(name, count): return prices[name] * count\n",

    "class Stock:\n"
    "    def __init__(self): self.left = {'apple': 1500, 'pear': 400}\n"
    "    def take(self, name, count):\n"
    "        if self.left[name] < count: raise LookupError(f'{name} is sold out')\n"
    "        self.left[name] -= count\n"
    "stock = Stock()\n",

    "lines = []\n"
    "def add(name, total, tell):\n"
    "    lines.append((name, total))\n"
    "    if len(lines) % 500 == 0: tell(f'{len(lines)} orders')\n",
};
static stoa_handle price, stock, report, tell; /* written before the threads start */
static _Atomic int sold, refused;

static void
check(stoa_err err)
{
    if (err != STOA_OK) {
        fprintf(stderr, "%s\n", stoa_error_message());
        exit(1);
    }
}

/* Python code of an interpreter calls this, on the thread that it runs on. */
static stoa_err
tell_host(const stoa_callback_call *call)
{
    if (call->count != 1 || call->args[0].kind != STOA_DATA_TEXT) {
        return stoa_callback_raise(call, "builtins.TypeError", "tell() takes one str");
    }
    printf("%s: %s\n", stoa_interp_name(call->interp), call->args[0].as.text.at);
    return STOA_OK;
}

static void *
work(void *arg)
{
    (void)arg;
    for (int i = 0; i < ORDERS; i++) {
        stoa_data name = i % 2 ? stoa_data_text("pear", 4) : stoa_data_text("apple", 5), total;
        stoa_data order[] = {name, stoa_data_int(1)};
        stoa_exception *raised = NULL;
        stoa_err err = stoa_handle_call(stock, "take", order, 2, 0, 5.0, NULL, &raised);
        if (err == STOA_EPYTHON) { /* LookupError: an outcome like another */
            stoa_exception_free(raised);
            refused++;
            continue;
        }
        check(err);
        check(stoa_handle_call(price, NULL, order, 2, 0, 5.0, &total, NULL));
        stoa_data line[] = {name, total, stoa_data_handle(tell)};
        check(stoa_handle_call(report, NULL, line, 3, 0, 5.0, NULL, NULL));
        sold++;
    }
    return NULL;
}

int
main(void)
{
    static const char *const names[INTERPRETERS] = {"prices", "stock", "report"};
    stoa_interp *interps[INTERPRETERS];
    pthread_t threads[WORKERS];
    stoa_callback_options options = {.size = sizeof(options), .name = "tell"};
    check(stoa_runtime_open(NULL));
    for (int i = 0; i < INTERPRETERS; i++) {
        check(stoa_interp_new(names[i], false, &interps[i]));
        check(stoa_exec(interps[i], sources[i], names[i], NULL));
    }
    check(stoa_handle_get(interps[PRICES], "__main__:price", -1, &price, NULL));
    check(stoa_handle_get(interps[STOCK], "__main__:stock", -1, &stock, NULL));
    check(stoa_handle_get(interps[REPORT], "__main__:add", -1, &report, NULL));
    check(stoa_callback_new(tell_host, &options, &tell));
    for (int i = 0; i < WORKERS; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("%d sold, %d refused\n", sold, refused);
    check(stoa_handle_release(price));
    check(stoa_handle_release(stock));
    check(stoa_handle_release(report));
    check(stoa_handle_release(tell));
    for (int i = 0; i < INTERPRETERS; i++) {
        check(stoa_interp_close(interps[i], -1));
        stoa_interp_free(interps[i]);
    }
    check(stoa_runtime_close());
    return sold == 1400 && refused == 600 ? 0 : 1;
}
