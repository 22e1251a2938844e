#include "immortal/cpython/gilstate.h"

#include <link.h>
#include <pthread.h>

#include "heap/error.h"

enum { UNKNOWN, IN_KEY, IN_TLS };

/* Written once by stoa__gilstate_init under a GIL, const afterwards; released by `place`. */
static _Atomic int place = UNKNOWN;
static pthread_key_t place_key;
static size_t place_offset; /* in the thread-local block of the object that holds CPython */

static _Thread_local void **place_here; /* this thread's variable; NULL until first needed */

typedef struct tls_search {
    const void *code; /* an address inside the object that is looked for */
    char *block;      /* its thread-local block on this thread */
    size_t size;
} tls_search;

static int
visit_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    tls_search *search = arg;
    (void)size;
    bool holds_code = false;
    size_t block_size = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && (uintptr_t)search->code - start < header->p_memsz) {
            holds_code = true;
        }
        if (header->p_type == PT_TLS) {
            block_size = header->p_memsz;
        }
    }
    if (!holds_code) {
        return 0;
    }
    search->block = info->dlpi_tls_data;
    search->size = block_size;
    return 1;
}

static tls_search
find_block(void)
{
    tls_search search = {.code = (const void *)(uintptr_t)PyGILState_GetThisThreadState};
    dl_iterate_phdr(visit_object, &search);
    return search;
}

/* Does the answer of CPython follow this key? */
static bool
is_key(pthread_key_t key, void *state)
{
    if (pthread_getspecific(key) != state || pthread_setspecific(key, NULL) != 0) {
        return false;
    }
    bool follows = PyGILState_GetThisThreadState() == NULL;
    (void)pthread_setspecific(key, state);
    return follows && PyGILState_GetThisThreadState() == state;
}

static bool
is_variable(void **variable, void *state)
{
    if (*variable != state) {
        return false;
    }
    *variable = NULL;
    bool follows = PyGILState_GetThisThreadState() == NULL;
    *variable = state;
    return follows && PyGILState_GetThisThreadState() == state;
}

stoa_err
stoa__gilstate_init(void)
{
    if (place != UNKNOWN) {
        return STOA_OK;
    }
    void *state = PyGILState_GetThisThreadState();
    if (state == NULL) {
        return stoa__fail(STOA_ESTATE,
                          "this thread has no Python thread state; hold the GIL when Stoa is started");
    }
    for (unsigned key = 0; key < PTHREAD_KEYS_MAX; key++) {
        if (is_key((pthread_key_t)key, state)) {
            place_key = (pthread_key_t)key;
            place = IN_KEY;
            return STOA_OK;
        }
    }
    tls_search search = find_block();
    for (size_t offset = 0; search.block != NULL && offset + sizeof(void *) <= search.size;
         offset += sizeof(void *)) {
        if (is_variable((void **)(search.block + offset), state)) {
            place_offset = offset;
            place = IN_TLS;
            return STOA_OK;
        }
    }
    return stoa__fail(STOA_EVERSION, "Python %s keeps its thread states in a way that Stoa does not know",
                      Py_GetVersion());
}

void
stoa__gilstate_set(PyThreadState *state)
{
    PyThreadState *old = PyGILState_GetThisThreadState();
    if (old == state) {
        return;
    }
    if (old != NULL) {
        old->_status.bound_gilstate = 0;
    }
    if (place == IN_KEY) {
        (void)pthread_setspecific(place_key, state);
    }
    else {
        if (place_here == NULL) {
            place_here = (void **)(find_block().block + place_offset);
        }
        *place_here = state;
    }
    if (state != NULL) {
        state->_status.bound_gilstate = 1;
    }
}
