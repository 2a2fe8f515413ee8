#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "CCUDA.h"
#include "card.h"
#include "library.h"

// NCCL's types, as nccl.h has them: communicators are pointers, results and types ints.
typedef void* ncclComm_t;
typedef struct {
    char internal[moult_cuda_identifier_bytes];
} ncclUniqueId;

/// The first fields of ncclConfig_t, those of version 2.14, which later ones take with their own defaults for the others.
struct configuration {
    size_t size;
    unsigned magic, version;
    int blocking;
};

enum {
    nccl_success = 0,
    nccl_in_progress = 7,
    nccl_int8 = 0,
    nccl_float32 = 7,
    nccl_sum = 0,
    configuration_magic = 0xcafebeef,
    configuration_version = 21400,
};

#define NCCL_FUNCTIONS(F)                                                                                              \
    F(ncclGetErrorString, const char*, (int))                                                                          \
    F(ncclGetLastError, const char*, (ncclComm_t))                                                                     \
    F(ncclGetUniqueId, int, (ncclUniqueId*))                                                                           \
    F(ncclCommInitRankConfig, int, (ncclComm_t*, int, ncclUniqueId, int, struct configuration*))                       \
    F(ncclCommGetAsyncError, int, (ncclComm_t, int*))                                                                  \
    F(ncclCommAbort, int, (ncclComm_t))                                                                                \
    F(ncclAllReduce, int, (const void*, void*, size_t, int, int, ncclComm_t, void*))                                   \
    F(ncclReduceScatter, int, (const void*, void*, size_t, int, int, ncclComm_t, void*))                               \
    F(ncclAllGather, int, (const void*, void*, size_t, int, ncclComm_t, void*))                                        \
    F(ncclBroadcast, int, (const void*, void*, size_t, int, int, ncclComm_t, void*))                                   \
    F(ncclGroupStart, int, (void))                                                                                     \
    F(ncclGroupEnd, int, (void))

#define DECLARE(name, result, parameters) static result(*name) parameters;
NCCL_FUNCTIONS(DECLARE)

struct moult_cuda_group {
    struct moult_cuda_card* card;
    ncclComm_t communicator;
    double seconds;
};

static int fail(int result, ncclComm_t communicator, const char* call) {
    const char* more = communicator ? ncclGetLastError(communicator) : "";
    return moult_cuda_fail(
        "%s: %s (%d)%s%s", call, ncclGetErrorString(result), result, more && *more ? ": " : "", more ? more : "");
}

static int open_library(void) {
    static int is_open;
    if (is_open) return 0;
    // NVLink multicast can put a host's cards out of service when a process that uses it is killed.
    setenv("NCCL_NVLS_ENABLE", "0", 0);
    void* library = moult_cuda_library((const char* const[]){"libnccl.so.2", "libnccl.so", NULL});
    if (!library) return moult_cuda_fail("libnccl.so.2 cannot be loaded: several GPUs need NCCL");
#define LOAD(name, result, parameters)                                                                                 \
    if (!(*(void**)&name = dlsym(library, #name)))                                                                     \
        return moult_cuda_fail("libnccl.so.2 has no " #name ": version 2.14 or later is needed");
    NCCL_FUNCTIONS(LOAD)
    is_open = 1;
    return 0;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/// Waits until what was asked of a communicator that does not block is under way.
static int settle(ncclComm_t communicator, int result, double seconds, const char* call) {
    const double end = now() + seconds;
    while (result == nccl_in_progress) {
        int failed = ncclCommGetAsyncError(communicator, &result);
        if (failed) return fail(failed, communicator, "ncclCommGetAsyncError");
        if (result != nccl_in_progress) break;
        if (now() > end) return moult_cuda_fail("%s: not done after %.0f s; NCCL_DEBUG=INFO says more", call, seconds);
        usleep(20);
    }
    return result == nccl_success ? 0 : fail(result, communicator, call);
}

static int identify(char identifier[moult_cuda_identifier_bytes]) {
    ncclUniqueId own;
    if (open_library()) return 1;
    int result = ncclGetUniqueId(&own);
    if (result) return fail(result, NULL, "ncclGetUniqueId");
    memcpy(identifier, own.internal, sizeof own.internal);
    return 0;
}

static int join(
    struct moult_cuda_card* card, const char identifier[moult_cuda_identifier_bytes], int rank, int ranks,
    double seconds, struct moult_cuda_group** result) {
    void* stream;
    if (open_library() || moult_cuda_card_fork(card, &stream) || moult_cuda_card_join(card)) return 1;
    struct moult_cuda_group* group = calloc(1, sizeof *group);
    if (!group) return moult_cuda_fail("out of memory");
    *group = (struct moult_cuda_group){.card = card, .seconds = seconds};
    struct configuration configuration = {
        sizeof configuration, configuration_magic, configuration_version, .blocking = 0};
    ncclUniqueId id;
    memcpy(id.internal, identifier, sizeof id.internal);
    int begun = ncclCommInitRankConfig(&group->communicator, ranks, id, rank, &configuration);
    if (settle(group->communicator, begun, seconds, "ncclCommInitRankConfig")) {
        if (group->communicator) ncclCommAbort(group->communicator);
        free(group);
        return 1;
    }
    *result = group;
    return 0;
}

/// What is done with a tensor of a group's work.
typedef int (*operation)(const void* from, void* to, size_t count, ncclComm_t communicator, void* stream);

/// Work on the card's second stream, behind what was given to the card before: all tensors in one go.
static int beside(
    struct moult_cuda_group* group, operation operation, const char* call, const uint64_t* from, const uint64_t* to,
    const size_t* counts, size_t tensors) {
    void* stream;
    if (moult_cuda_card_fork(group->card, &stream)) return 1;
    int result = ncclGroupStart();
    if (result) return fail(result, group->communicator, "ncclGroupStart");
    for (size_t i = 0; i < tensors && (result == nccl_success || result == nccl_in_progress); i++)
        result = operation(
            (const void*)(uintptr_t)from[i], (void*)(uintptr_t)to[i], counts[i], group->communicator, stream);
    int ended = ncclGroupEnd();
    if (result != nccl_success && result != nccl_in_progress) return fail(result, group->communicator, call);
    return settle(group->communicator, ended, group->seconds, call);
}

static int all_reduce_one(const void* from, void* to, size_t count, ncclComm_t communicator, void* stream) {
    return ncclAllReduce(from, to, count, nccl_float32, nccl_sum, communicator, stream);
}

static int reduce_scatter_one(const void* from, void* to, size_t count, ncclComm_t communicator, void* stream) {
    return ncclReduceScatter(from, to, count, nccl_float32, nccl_sum, communicator, stream);
}

static int all_gather_one(const void* from, void* to, size_t bytes, ncclComm_t communicator, void* stream) {
    return ncclAllGather(from, to, bytes, nccl_int8, communicator, stream);
}

static int sum(struct moult_cuda_group* group, const uint64_t* addresses, const size_t* counts, size_t tensors) {
    return beside(group, all_reduce_one, "ncclAllReduce", addresses, addresses, counts, tensors);
}

static int reduce_scatter(
    struct moult_cuda_group* group, const uint64_t* from, const uint64_t* to, const size_t* counts, size_t tensors) {
    return beside(group, reduce_scatter_one, "ncclReduceScatter", from, to, counts, tensors);
}

static int all_gather(
    struct moult_cuda_group* group, const uint64_t* from, const uint64_t* to, const size_t* bytes, size_t tensors) {
    return beside(group, all_gather_one, "ncclAllGather", from, to, bytes, tensors);
}

static int broadcast(struct moult_cuda_group* group, uint64_t values, size_t bytes, int root) {
    void* stream;
    if (moult_cuda_card_fork(group->card, &stream)) return 1;
    void* place = (void*)(uintptr_t)values;
    int begun = ncclBroadcast(place, place, bytes, nccl_int8, root, group->communicator, stream);
    return settle(group->communicator, begun, group->seconds, "ncclBroadcast");
}

static int wait(struct moult_cuda_group* group) { return moult_cuda_card_join(group->card); }

static int check(struct moult_cuda_group* group) {
    int result = nccl_success;
    int failed = ncclCommGetAsyncError(group->communicator, &result);
    if (failed) return fail(failed, group->communicator, "ncclCommGetAsyncError");
    return result == nccl_success || result == nccl_in_progress ? 0 : fail(result, group->communicator, "NCCL");
}

static void leave(struct moult_cuda_group* group) { ncclCommAbort(group->communicator); }

const struct moult_cuda_collectives* moult_cuda_nccl(void) {
    static const struct moult_cuda_collectives functions = {
        .error = moult_cuda_error, .identify = identify, .join = join, .sum = sum, .reduce_scatter = reduce_scatter,
        .all_gather = all_gather, .broadcast = broadcast, .wait = wait, .check = check, .leave = leave,
    };
    return &functions;
}
