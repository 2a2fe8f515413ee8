// NVIDIA GPUs without a toolkit: the driver, its run-time compiler (NVRTC) and its matrix products (cuBLASLt), loaded with
// dlopen when a GPU is asked for. One device, one stream: work runs in the order in which it is given.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Element types of products.
enum { moult_cuda_float32 = 0, moult_cuda_bfloat16 = 1 };

/// d = op(a) · op(b) + beta · d, column-major as in BLAS: d (m, n) with a leading extent of m. a is stored (m, k), or (k, m)
/// when transposed; b (k, n), or (n, k). a and b are bfloat16, sums float32. `bias`, unless 0, points to m values of d's type
/// that are added to every column.
struct moult_cuda_product {
    int64_t m, n, k;
    uint64_t a, b, d, bias;
    int transpose_a, transpose_b;
    int d_type;
    float beta;
};

/// What a GPU does. Functions return 0, or 1 with the reason in error().
struct moult_cuda {
    const char* (*error)(void);
    /// "NVIDIA H200, sm_90".
    const char* (*name)(void);
    int (*memory)(size_t* free, size_t* total);
    /// 2 when the device has no such amount left.
    int (*allocate)(size_t bytes, uint64_t* address);
    int (*release)(uint64_t address);
    /// Copies from and to host memory; `download` waits for all work before it.
    int (*upload)(uint64_t to, const void* from, size_t bytes);
    int (*download)(void* to, uint64_t from, size_t bytes);
    int (*copy)(uint64_t to, uint64_t from, size_t bytes);
    int (*zero)(uint64_t to, size_t bytes);
    int (*synchronise)(void);
    /// The kernel of a name expression such as "rms_norm<4>" in the file `source`, compiled on first use.
    int (*kernel)(const char* source, const char* expression, void** kernel);
    int (*launch)(
        void* kernel, const unsigned grid[3], const unsigned block[3], size_t shared_bytes, void** arguments);
    int (*multiply)(const struct moult_cuda_product* product);
    /// Between begin_capture and end_capture work is recorded, not run; replay runs it all.
    int (*begin_capture)(void);
    int (*end_capture)(void** graph);
    int (*replay)(void* graph);
    void (*forget)(void* graph);
};

/// The first GPU; null, with the reason in `error`, when there is none or a library is missing.
const struct moult_cuda* moult_cuda_open(const char** error);

/// The text of a file in kernels/, null for another name.
const char* moult_cuda_source(const char* name);

#ifdef __cplusplus
}
#endif
