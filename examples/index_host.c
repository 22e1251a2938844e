/* A host program: N threads build a full-text index of a folder with no GIL and no interpreter, then N interpreters
 * answer queries from that one copy.
 *
 *     index_host [-n THREADS] [-m MEGABYTES] [-q QUERIES] [DIR]
 *
 * DIR: what to index (default: the standard library of the Python that is embedded, its first 8 megabytes).
 * The index has the shape that `python -m stoa demo` builds (python/stoa/_demo/index.py), so the interpreters search it
 * with the same Python code. Here a word is a run of ASCII letters, digits, '_' and of all characters beyond ASCII.
 */
#define _GNU_SOURCE
#include "index_host/files.h"
#include "index_host/index.h"
#include "index_host/serve.h"
#include "index_host/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the embedded Python's standard library; owned. */
static char *
standard_library(void)
{
    stoa_interp *interp;
    stoa_exception *exception = NULL;
    stoa_data path, name = stoa_data_text("stdlib", 6);
    check(stoa_interp_main(&interp), "main interpreter");
    check_call(stoa_call(interp, "sysconfig:get_path", &name, 1, 0, &path, &exception), "get_path", &exception);
    char *copy = strdup(path.as.text.at);
    stoa_data_clear(&path);
    stoa_interp_free(interp);
    return copy;
}

int
main(int argc, char **argv)
{
    long threads = sysconf(_SC_NPROCESSORS_ONLN), megabytes = 0, queries = 20000;
    threads = threads < 2 ? 2 : threads > MAX_THREADS ? MAX_THREADS : threads;
    for (int option; (option = getopt(argc, argv, "n:m:q:")) != -1;) {
        long value = option == '?' ? 0 : atol(optarg);
        if (value < 1 || (option == 'n' && value > MAX_THREADS)) {
            fprintf(stderr, "usage: index_host [-n THREADS] [-m MEGABYTES] [-q QUERIES] [DIR]\n");
            return 2;
        }
        *(option == 'n' ? &threads : option == 'm' ? &megabytes : &queries) = value;
    }
    check(stoa_runtime_open(NULL), "runtime");

    char *root = optind < argc ? realpath(argv[optind], NULL) : standard_library();
    if (root == NULL) {
        die(argv[optind]);
    }
    file_list files = find_files(root, (size_t)(megabytes > 0 ? megabytes : optind < argc ? 4096 : 8) << 20);
    if (files.count == 0) {
        fprintf(stderr, "index_host: %s: no file to index\n", root);
        return 1;
    }
    printf("%s: %zu files, %.1f MB\n", root, files.count, (double)files.bytes / 1e6);
    const stoa_object *index = build_index(&files, (size_t)threads, root);
    check(stoa_publish("example.index", index), "publish");
    stoa_region_info info = {.size = sizeof(info)};
    check(stoa_region_get_info(NULL, &info), "region");
    printf("  %.1f MB in the shared heap\n", (double)info.used_bytes / 1e6);
    int different = serve_index((size_t)threads, (size_t)queries);
    check(stoa_runtime_close(), "close");
    file_list_clear(&files);
    free(root);
    return different;
}
