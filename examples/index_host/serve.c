#define _GNU_SOURCE
#include "serve.h"

#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SERVER[] =
    "import time, zlib\n"
    "import stoa\n"
    "from stoa._demo.index import Searcher\n"
    "from stoa._demo.queries import draw\n"
    "\n"
    "def open_index():\n"
    "    global searcher\n"
    "    searcher = Searcher(stoa.lookup('example.index'))\n"
    "\n"
    "def draw_queries(count):\n"
    "    global queries\n"
    "    queries = draw(searcher, count, 1)\n"
    "\n"
    "def answer():\n"
    "    answers = [searcher.search(query) for query in queries]\n"
    "    found = sum(1 for count, _, _ in answers if count)\n"
    "    return b'%08x %d of %d found' % (zlib.crc32(repr(answers).encode()), found, len(answers))\n";

typedef struct server {
    pthread_t thread;
    size_t number, queries;
    double ready, took;
    char answers[64];
} server;

static pthread_barrier_t all_ready;

/* Calls a function of SERVER. */
static stoa_data
call(stoa_interp *interp, const char *function, const stoa_data *args, size_t count)
{
    stoa_data result;
    stoa_exception *exception = NULL;
    check_call(stoa_call(interp, function, args, count, 0, &result, &exception), function, &exception);
    return result;
}

static void *
serve(void *arg)
{
    server *mine = arg;
    char name[32];
    stoa_interp *interp;
    stoa_exception *exception = NULL;
    snprintf(name, sizeof(name), "server-%zu", mine->number);
    check(stoa_interp_new(name, false, &interp), "interpreter");
    check_call(stoa_exec(interp, SERVER, "server", &exception), "server", &exception);
    double begin = now();
    call(interp, "__main__:open_index", NULL, 0);
    mine->ready = now() - begin;
    stoa_data count = stoa_data_int((int64_t)mine->queries);
    call(interp, "__main__:draw_queries", &count, 1);
    pthread_barrier_wait(&all_ready);
    begin = now();
    stoa_data answers = call(interp, "__main__:answer", NULL, 0);
    mine->took = now() - begin;
    snprintf(mine->answers, sizeof(mine->answers), "%s", answers.as.text.at);
    stoa_data_clear(&answers);
    check(stoa_interp_close(interp, 10.0), "close");
    stoa_interp_free(interp);
    return NULL;
}

int
serve_index(size_t count, size_t queries)
{
    server *servers = calloc(count, sizeof(server));
    double longest = 0;
    int different = 0;
    pthread_barrier_init(&all_ready, NULL, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        servers[i].number = i;
        servers[i].queries = queries;
        if (pthread_create(&servers[i].thread, NULL, serve, &servers[i]) != 0) {
            die("thread");
        }
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(servers[i].thread, NULL);
        printf("  interpreter %zu: index open in %.3f ms; answers %s in %.2f s\n", i, 1e3 * servers[i].ready,
               servers[i].answers, servers[i].took);
        different |= strcmp(servers[i].answers, servers[0].answers) != 0;
        longest = servers[i].took > longest ? servers[i].took : longest;
    }
    printf("  %.0f queries a second, answers %s\n", (double)(count * queries) / longest,
           different ? "DIFFER" : "equal");
    pthread_barrier_destroy(&all_ready);
    free(servers);
    return different;
}
