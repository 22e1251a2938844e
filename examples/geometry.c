/* A host program: a triangulated surface is cut into layers, and the layers into paths for a tool, by a pipeline of eight stages.
 *
 *     geometry [-t TRIANGLES] [-l LAYERS] [-b BANDS] [-w WORKERS] [-o PICTURE.svg] [-j] [FILE.stl]
 *
 * read -> sort into bands of height -> slice -> chain contours -> move them inwards and measure -> statistics -> path -> draw.
 * All but statistics and path planning are C and run without a GIL; those two are Python, in one interpreter a worker.
 * The surface, and what Python plans from, are arrays in the shared heap: a stage gets pointers, and nothing is copied. A band
 * of heights goes on as soon as it can, whatever the others do. Run with one worker, with several, and as
 * processes with pipes between them, it shows what that is worth. -j: figures as a line of JSON.
 *
 * FILE: binary or ASCII STL; without it a surface of about TRIANGLES triangles is made.
 */
#define _GNU_SOURCE
#include "geometry/run.h"
#include "geometry/stl.h"
#include "geometry/support.h"

#include <malloc.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct options {
    order order;
    size_t triangles;
    const char *picture;
    bool json;
} options;

static bool
parse(int argc, char **argv, options *o)
{
    *o = (options){.order = {.layers = 200, .bands = 16, .workers = 2}, .triangles = 40000};
    for (int option; (option = getopt(argc, argv, "t:l:b:w:o:j")) != -1;) {
        long value = option == 'o' || option == 'j' || option == '?' ? 1 : atol(optarg);
        if (value < 1 || value > (option == 'w'   ? 64
                                  : option == 't' ? 200000000
                                  : option == 'b' ? MOST_BANDS
                                                  : MOST_LAYERS)) {
            return false;
        }
        switch (option) {
        case 't':
            o->triangles = (size_t)value;
            break;
        case 'l':
            o->order.layers = (int32_t)value;
            break;
        case 'b':
            o->order.bands = (int32_t)value;
            break;
        case 'w':
            o->order.workers = (int32_t)value;
            break;
        case 'o':
            o->picture = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        default:
            return false;
        }
    }
    o->order.path = optind < argc ? argv[optind] : NULL;
    o->order.bands = o->order.bands > o->order.layers ? o->order.layers : o->order.bands;
    return optind + 1 >= argc;
}

/* In a process of its own, which has no Python yet when its stages are forked. The picture stays there. */
static void
measure_pipes(const order *order, outcome *out)
{
    outcome *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    pid_t child = told == MAP_FAILED ? -1 : fork();
    if (child == 0) {
        run_pipes(order, told);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        exit(1); /* it has said why */
    }
    *out = *told;
    out->picture = NULL;
    munmap(told, sizeof(*told));
}

static void
show(const char *what, const outcome *o, bool with_overlap)
{
    double busy = 0;
    printf("%s: %.3f s", what, o->seconds);
    for (int i = 0; i < STAGES; i++) {
        busy += o->busy[i];
        printf("%s %s %.3f", i == 0 ? "; busy:" : ",", stage_names[i], o->busy[i]);
    }
    printf(" s, %.3f in all", busy);
    if (with_overlap) {
        printf("; two stages at once for %.3f s", o->overlap);
    }
    printf("; %.0f MB\n", o->peak / 1e6);
}

static void
write_picture(const char *path, const outcome *o)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        bad_file(path, "cannot be written");
    }
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-20 -20 %d %.0f\">\n"
            "<rect x=\"-20\" y=\"-20\" width=\"100%%\" height=\"100%%\" fill=\"#fbfaf7\"/>\n"
            "<g fill-rule=\"evenodd\" stroke-width=\"0.6\" stroke-linejoin=\"round\">\n",
            PICTURE_WIDTH + 40, o->picture_height + 40);
    fwrite(o->picture, 1, o->picture_size, file);
    fprintf(file, "</g>\n</svg>\n");
    if (fclose(file) != 0) {
        bad_file(path, "cannot be written");
    }
}

static bool
same_result(const outcome *a, const outcome *b)
{
    return a->triangles == b->triangles && a->contours == b->contours && a->points == b->points &&
           fabs(a->area - b->area) <= 1e-9 * fabs(a->area) &&
           fabs(a->length - b->length) <= 1e-9 * fabs(a->length);
}

int
main(int argc, char **argv)
{
    options o;
    char made[] = "/tmp/stoa-geometry-XXXXXX", why[200];
    int fd = -1;
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD,
            1 << 30); /* tables that come and go with every band: the same pages again, not new ones */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: geometry [-t TRIANGLES] [-l LAYERS] [-b BANDS] [-w WORKERS] [-o PICTURE.svg] "
                        "[-j] [FILE.stl]\n");
        return 2;
    }
    if (o.order.path == NULL) {
        fd = mkstemp(made);
        if (fd < 0 || !stl_generate(made, o.triangles, why, sizeof(why))) {
            bad_file(made, fd < 0 ? "cannot be made" : why);
        }
        close(fd);
        o.order.path = made;
    }
    order alone = o.order;
    alone.workers = 1;
    outcome pipes, one, many;
    measure_pipes(&o.order, &pipes);
    stoa_runtime_options options;
    stoa_runtime_options_init(&options);
    check(stoa_runtime_open(&options), "runtime");
    run_pipeline(&o.order, &many);
    run_pipeline(&alone, &one);
    check(stoa_runtime_close(), "close");
    if (fd >= 0) {
        unlink(made);
    }
    bool same = same_result(&one, &many) && same_result(&pipes, &many) &&
                one.picture_size == many.picture_size &&
                memcmp(one.picture, many.picture, one.picture_size) == 0;
    if (o.json) {
        printf("{\"triangles\": %zu, \"points\": %zu, \"one\": %.6f, \"many\": %.6f, \"pipes\": %.6f, "
               "\"overlap\": %.6f, "
               "\"bytes\": %.0f, \"pipes_bytes\": %.0f, \"same\": %s}\n",
               many.triangles, many.points, one.seconds, many.seconds, pipes.seconds, many.overlap, many.peak,
               pipes.peak, same ? "true" : "false");
    }
    else {
        printf("%zu triangles, %d layers in %d bands: %zu contours of %zu points, %.1f square units, path of "
               "%.1f units\n",
               many.triangles, (int)o.order.layers, (int)o.order.bands, many.contours, many.points,
               many.area / o.order.layers, many.length);
        show("processes over pipes", &pipes, false);
        show("1 worker", &one, true);
        printf("%d workers, ", (int)o.order.workers);
        show("one heap", &many, true);
        printf("%.2f times as fast as one worker, %.2f times as fast as processes, %.2f times their memory; "
               "results %s\n",
               one.seconds / many.seconds, pipes.seconds / many.seconds, many.peak / pipes.peak,
               same ? "equal" : "DIFFER");
    }
    if (o.picture != NULL) {
        write_picture(o.picture, &many);
    }
    free(one.picture);
    free(many.picture);
    return same ? 0 : 1;
}
