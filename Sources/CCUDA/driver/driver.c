#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CCUDA.h"
#include "card.h"
#include "compiler.h"
#include "library.h"
#include "products.h"

// The driver API's types, as cuda.h has them: handles are pointers, device addresses 64-bit integers, results ints.
typedef void *CUcontext, *CUstream, *CUevent, *CUmodule, *CUfunction, *CUgraph, *CUgraphExec;
enum {
    attribute_major = 75,
    attribute_minor = 76,
    function_shared_bytes = 8,
    stream_non_blocking = 1,
    event_without_times = 2,
    // Allocating stays allowed while work is recorded.
    capture_relaxed = 2,
    error_out_of_memory = 2,
    // For every context of the process, at an address that kernels read and write.
    host_portable = 1,
    host_device_map = 2,
};

#define DRIVER_FUNCTIONS(F)                                                                                            \
    F(cuInit, (unsigned))                                                                                              \
    F(cuGetErrorString, (int, const char**))                                                                           \
    F(cuDeviceGetCount, (int*))                                                                                        \
    F(cuDeviceGet, (int*, int))                                                                                        \
    F(cuDeviceGetName, (char*, int, int))                                                                              \
    F(cuDeviceGetAttribute, (int*, int, int))                                                                          \
    F(cuDevicePrimaryCtxRetain, (CUcontext*, int))                                                                     \
    F(cuCtxSetCurrent, (CUcontext))                                                                                    \
    F(cuMemGetInfo_v2, (size_t*, size_t*))                                                                             \
    F(cuMemAlloc_v2, (uint64_t*, size_t))                                                                              \
    F(cuMemFree_v2, (uint64_t))                                                                                        \
    F(cuMemHostAlloc, (void**, size_t, unsigned))                                                                      \
    F(cuMemHostGetDevicePointer_v2, (uint64_t*, void*, unsigned))                                                      \
    F(cuMemFreeHost, (void*))                                                                                          \
    F(cuMemcpyHtoDAsync_v2, (uint64_t, const void*, size_t, CUstream))                                                 \
    F(cuMemcpyDtoHAsync_v2, (void*, uint64_t, size_t, CUstream))                                                       \
    F(cuMemcpyAsync, (uint64_t, uint64_t, size_t, CUstream))                                                           \
    F(cuMemsetD8Async, (uint64_t, unsigned char, size_t, CUstream))                                                    \
    F(cuStreamCreate, (CUstream*, unsigned))                                                                           \
    F(cuStreamWaitEvent, (CUstream, CUevent, unsigned))                                                                \
    F(cuEventCreate, (CUevent*, unsigned))                                                                             \
    F(cuEventRecord, (CUevent, CUstream))                                                                              \
    F(cuStreamSynchronize, (CUstream))                                                                                 \
    F(cuStreamBeginCapture_v2, (CUstream, int))                                                                        \
    F(cuStreamEndCapture, (CUstream, CUgraph*))                                                                        \
    F(cuGraphInstantiateWithFlags, (CUgraphExec*, CUgraph, unsigned long long))                                        \
    F(cuGraphLaunch, (CUgraphExec, CUstream))                                                                          \
    F(cuGraphDestroy, (CUgraph))                                                                                       \
    F(cuGraphExecDestroy, (CUgraphExec))                                                                               \
    F(cuModuleLoadData, (CUmodule*, const void*))                                                                      \
    F(cuModuleGetFunction, (CUfunction*, CUmodule, const char*))                                                       \
    F(cuFuncSetAttribute, (CUfunction, int, int))                                                                      \
    F(cuLaunchKernel,                                                                                                  \
      (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**))

#define DECLARE(name, parameters) static int(*name) parameters;
DRIVER_FUNCTIONS(DECLARE)

struct moult_cuda_card {
    CUcontext context;
    CUstream stream;
    // For what goes on beside its work: made when it is first asked for.
    CUstream side;
    CUevent turn;
    // Whether something has been given to it since the last join.
    int is_forked;
    int major, minor;
    struct moult_cuda_products* products;
};

static int check(int result, const char* call, const char* what) {
    if (result == 0) return 0;
    const char* text = NULL;
    if (cuGetErrorString) cuGetErrorString(result, &text);
    return moult_cuda_fail("%s%s%s: %s (%d)", call, *what ? " of " : "", what, text ? text : "unknown error", result);
}
#define CHECK(name, ...) check(name(__VA_ARGS__), #name, "")

/// Makes the card's context the calling thread's, where it is not.
static int enter(struct moult_cuda_card* card) {
    static _Thread_local CUcontext entered;
    if (entered == card->context) return 0;
    if (CHECK(cuCtxSetCurrent, card->context)) return 1;
    entered = card->context;
    return 0;
}

// Memory

static int memory(struct moult_cuda_card* card, size_t* free_bytes, size_t* total) {
    return enter(card) || CHECK(cuMemGetInfo_v2, free_bytes, total);
}

static int allocate(struct moult_cuda_card* card, size_t bytes, uint64_t* address) {
    if (enter(card)) return 1;
    int result = cuMemAlloc_v2(address, bytes);
    check(result, "cuMemAlloc", "");
    return result == error_out_of_memory ? 2 : result != 0;
}

static int release(struct moult_cuda_card* card, uint64_t address) {
    return enter(card) || CHECK(cuMemFree_v2, address);
}

static int allocate_host(struct moult_cuda_card* card, size_t bytes, uint64_t* address) {
    void* memory = NULL;
    if (enter(card)) return 1;
    int result = cuMemHostAlloc(&memory, bytes, host_portable | host_device_map);
    check(result, "cuMemHostAlloc", "");
    if (result != 0) return result == error_out_of_memory ? 2 : 1;
    // With one address space for both, as on every card that is served, the card's address is the process's own.
    if (CHECK(cuMemHostGetDevicePointer_v2, address, memory, 0)) return cuMemFreeHost(memory), 1;
    if (*address == (uint64_t)memory) return 0;
    cuMemFreeHost(memory);
    return moult_cuda_fail("the driver has no address space that host and card share");
}

static int release_host(struct moult_cuda_card* card, uint64_t address) {
    return enter(card) || CHECK(cuMemFreeHost, (void*)address);
}

static int upload(struct moult_cuda_card* card, uint64_t to, const void* from, size_t bytes) {
    return enter(card) || CHECK(cuMemcpyHtoDAsync_v2, to, from, bytes, card->stream);
}

static int download(struct moult_cuda_card* card, void* to, uint64_t from, size_t bytes) {
    return enter(card) || CHECK(cuMemcpyDtoHAsync_v2, to, from, bytes, card->stream)
        || CHECK(cuStreamSynchronize, card->stream);
}

// The driver tells by the addresses whose memory either end is.
static int copy(struct moult_cuda_card* card, uint64_t to, uint64_t from, size_t bytes) {
    return enter(card) || CHECK(cuMemcpyAsync, to, from, bytes, card->stream);
}

static int zero(struct moult_cuda_card* card, uint64_t to, size_t bytes) {
    return enter(card) || CHECK(cuMemsetD8Async, to, 0, bytes, card->stream);
}

static int synchronise(struct moult_cuda_card* card) {
    return enter(card) || CHECK(cuStreamSynchronize, card->stream);
}

// Streams

/// What is given to `later` from now on begins when what was given to `earlier` is done.
static int follow(struct moult_cuda_card* card, CUstream earlier, CUstream later) {
    return CHECK(cuEventRecord, card->turn, earlier) || CHECK(cuStreamWaitEvent, later, card->turn, 0);
}

int moult_cuda_card_fork(struct moult_cuda_card* card, void** stream) {
    if (enter(card)) return 1;
    if (!card->side
        && (CHECK(cuEventCreate, &card->turn, event_without_times)
            || CHECK(cuStreamCreate, &card->side, stream_non_blocking)))
        return 1;
    *stream = card->side;
    card->is_forked = 1;
    return follow(card, card->stream, card->side);
}

int moult_cuda_card_join(struct moult_cuda_card* card) {
    // What is recorded may wait only for what is recorded with it.
    if (!card->is_forked) return 0;
    card->is_forked = 0;
    return enter(card) || follow(card, card->side, card->stream);
}

// Kernels

struct kernel {
    CUfunction function;
    size_t shared_bytes;
    char name[256];
};

static int load_text(
    struct moult_cuda_card* card, const char* source, const char* text, const char* expression, void** result) {
    if (enter(card)) return 1;
    void* image;
    char symbol[512];
    if (moult_cuda_compile(source, text, expression, card->major, card->minor, &image, symbol)) return 1;
    CUmodule module;
    int failed = check(cuModuleLoadData(&module, image), "cuModuleLoadData", expression);
    free(image);
    if (failed) return 1;
    struct kernel* kernel = calloc(1, sizeof *kernel);
    if (!kernel) return moult_cuda_fail("out of memory");
    snprintf(kernel->name, sizeof kernel->name, "%s", expression);
    if (check(cuModuleGetFunction(&kernel->function, module, symbol), "cuModuleGetFunction", expression)) {
        free(kernel);
        return 1;
    }
    *result = kernel;
    return 0;
}

static int load_kernel(
    struct moult_cuda_card* card, const char* source, const char* expression, void** result) {
    const char* text = moult_cuda_source(source);
    if (!text) return moult_cuda_fail("there is no kernel file %s", source);
    return load_text(card, source, text, expression, result);
}

static int launch(
    struct moult_cuda_card* card, void* handle, const unsigned grid[3], const unsigned block[3], size_t shared_bytes,
    void** arguments) {
    struct kernel* kernel = handle;
    if (enter(card)) return 1;
    // More than 48 KB must be asked for, once.
    if (shared_bytes > (48 << 10) && shared_bytes > kernel->shared_bytes) {
        if (check(
                cuFuncSetAttribute(kernel->function, function_shared_bytes, (int)shared_bytes), "cuFuncSetAttribute",
                kernel->name))
            return 1;
        kernel->shared_bytes = shared_bytes;
    }
    int result = cuLaunchKernel(
        kernel->function, grid[0], grid[1], grid[2], block[0], block[1], block[2], (unsigned)shared_bytes,
        card->stream, arguments, NULL);
    if (result == 0) return 0;
    char what[512];
    snprintf(
        what, sizeof what, "%s, grid (%u, %u, %u), block (%u, %u, %u), %zu bytes shared", kernel->name, grid[0],
        grid[1], grid[2], block[0], block[1], block[2], shared_bytes);
    return check(result, "cuLaunchKernel", what);
}

// Graphs

static int begin_capture(struct moult_cuda_card* card) {
    return enter(card) || moult_cuda_card_join(card) || CHECK(cuStreamBeginCapture_v2, card->stream, capture_relaxed);
}

static int end_capture(struct moult_cuda_card* card, void** result) {
    CUgraph graph = NULL;
    card->is_forked = 0;
    if (enter(card) || CHECK(cuStreamEndCapture, card->stream, &graph)) return 1;
    CUgraphExec executable = NULL;
    int failed = CHECK(cuGraphInstantiateWithFlags, &executable, graph, 0);
    cuGraphDestroy(graph);
    *result = executable;
    return failed;
}

static int replay(struct moult_cuda_card* card, void* graph) {
    return enter(card) || CHECK(cuGraphLaunch, graph, card->stream);
}

static void forget(struct moult_cuda_card* card, void* graph) {
    if (!enter(card)) cuGraphExecDestroy(graph);
}

// Opening

static int multiply(struct moult_cuda_card* card, const struct moult_cuda_product* product) {
    return enter(card) || moult_cuda_multiply(card->products, product);
}

static int open_driver(void) {
    static int is_open;
    if (is_open) return 0;
    void* library = moult_cuda_library((const char* const[]){"libcuda.so.1", "libcuda.so", NULL});
    if (!library) return moult_cuda_fail("libcuda.so.1 cannot be loaded: no NVIDIA driver is installed");
#define LOAD(name, parameters)                                                                                         \
    if (!(*(void**)&name = dlsym(library, #name))) return moult_cuda_fail("libcuda.so.1 has no " #name);
    DRIVER_FUNCTIONS(LOAD)
    if (CHECK(cuInit, 0)) return 1;
    is_open = 1;
    return 0;
}

static int count(int* cards) { return open_driver() || CHECK(cuDeviceGetCount, cards); }

/// The driver's device, its name and its compute capability.
static int identify(int index, int* device, char name[256], int* major, int* minor) {
    char model[128];
    if (open_driver() || CHECK(cuDeviceGet, device, index) || CHECK(cuDeviceGetName, model, sizeof model, *device)
        || CHECK(cuDeviceGetAttribute, major, attribute_major, *device)
        || CHECK(cuDeviceGetAttribute, minor, attribute_minor, *device))
        return 1;
    snprintf(name, 256, "%s, sm_%d%d", model, *major, *minor);
    return 0;
}

static int describe(int index, char name[256]) {
    int device, major, minor;
    return identify(index, &device, name, &major, &minor);
}

static int open_products(struct moult_cuda_card* card) {
    // As cuBLAS uses on these cards.
    size_t workspace_bytes = 64 << 20;
    uint64_t workspace;
    return enter(card) || CHECK(cuStreamCreate, &card->stream, stream_non_blocking)
        || allocate(card, workspace_bytes, &workspace) != 0
        || moult_cuda_products_open(card->stream, workspace, workspace_bytes, &card->products);
}

/// A card is never closed: its context is the process's own.
static int open_card(int index, struct moult_cuda_card** result) {
    int device, major, minor;
    char name[256];
    if (identify(index, &device, name, &major, &minor)) return 1;
    if (major < 8) return moult_cuda_fail("%s: bfloat16 products need compute capability 8.0 or later", name);
    struct moult_cuda_card* card = calloc(1, sizeof *card);
    if (!card) return moult_cuda_fail("out of memory");
    (card->major = major, card->minor = minor);
    if (CHECK(cuDevicePrimaryCtxRetain, &card->context, device) || open_products(card)) {
        free(card);
        return 1;
    }
    *result = card;
    return 0;
}

const struct moult_cuda* moult_cuda_driver(void) {
    static const struct moult_cuda functions = {
        .error = moult_cuda_error, .count = count, .describe = describe, .open = open_card, .memory = memory,
        .allocate = allocate, .release = release, .allocate_host = allocate_host, .release_host = release_host,
        .upload = upload, .download = download, .copy = copy, .zero = zero, .synchronise = synchronise,
        .kernel = load_kernel, .text_kernel = load_text, .launch = launch, .multiply = multiply,
        .begin_capture = begin_capture, .end_capture = end_capture, .replay = replay, .forget = forget,
    };
    return &functions;
}
