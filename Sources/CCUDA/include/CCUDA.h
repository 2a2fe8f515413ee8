// NVIDIA GPUs without a toolkit: the driver, its run-time compiler (NVRTC) and its matrix products (cuBLASLt), loaded with
// dlopen when a GPU is asked for.
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

/// A GPU that is open: a context with one stream, where its work runs in the order in which it is given.
struct moult_cuda_card;

/// What GPUs do, each by itself. Functions return 0, or 1 with the reason in error(). Any thread may call them; a card is
/// given work by one at a time, and cards are opened one at a time.
struct moult_cuda {
    /// The calling thread's last reason.
    const char* (*error)(void);
    /// How many GPUs the driver shows.
    int (*count)(int* cards);
    /// "NVIDIA H200, sm_90" of the GPU `index`, from 0 on.
    int (*describe)(int index, char name[256]);
    int (*open)(int index, struct moult_cuda_card** card);
    int (*memory)(struct moult_cuda_card* card, size_t* free, size_t* total);
    /// 2 when the card has no such amount left.
    int (*allocate)(struct moult_cuda_card* card, size_t bytes, uint64_t* address);
    int (*release)(struct moult_cuda_card* card, uint64_t address);
    /// The same of the host's memory, page-locked, which the card reads and writes itself, at the process's own address of it; 2
    /// when the host has no such amount left.
    int (*allocate_host)(struct moult_cuda_card* card, size_t bytes, uint64_t* address);
    int (*release_host)(struct moult_cuda_card* card, uint64_t address);
    /// Copies from and to memory of the process, to and from the card's own; `download` waits for all work before it.
    int (*upload)(struct moult_cuda_card* card, uint64_t to, const void* from, size_t bytes);
    int (*download)(struct moult_cuda_card* card, void* to, uint64_t from, size_t bytes);
    /// Within memory that was allocated, of either kind.
    int (*copy)(struct moult_cuda_card* card, uint64_t to, uint64_t from, size_t bytes);
    int (*zero)(struct moult_cuda_card* card, uint64_t to, size_t bytes);
    int (*synchronise)(struct moult_cuda_card* card);
    /// The kernel of a name expression such as "rms_norm<4>" in the file `source`, compiled on first use.
    int (*kernel)(struct moult_cuda_card* card, const char* source, const char* expression, void** kernel);
    /// The same of a text that is not in kernels/, whose files it may include; messages call it `source`.
    int (*text_kernel)(
        struct moult_cuda_card* card, const char* source, const char* text, const char* expression, void** kernel);
    int (*launch)(
        struct moult_cuda_card* card, void* kernel, const unsigned grid[3], const unsigned block[3],
        size_t shared_bytes, void** arguments);
    int (*multiply)(struct moult_cuda_card* card, const struct moult_cuda_product* product);
    /// Between begin_capture and end_capture work is recorded, not run; replay runs it all.
    int (*begin_capture)(struct moult_cuda_card* card);
    int (*end_capture)(struct moult_cuda_card* card, void** graph);
    int (*replay)(struct moult_cuda_card* card, void* graph);
    void (*forget)(struct moult_cuda_card* card, void* graph);
};

/// Bytes by which the ranks of a group know each other.
enum { moult_cuda_identifier_bytes = 128 };

/// GPUs of several processes, one of each, that add up and hand out memory among themselves.
struct moult_cuda_group;

/// What groups do (NCCL): every rank calls the same with the same counts, in the same order. Functions return 0, or 1 with the
/// reason in error(). The work is done beside that of the card, and may be recorded with it.
struct moult_cuda_collectives {
    const char* (*error)(void);
    /// What rank 0 hands to the others by other ways.
    int (*identify)(char identifier[moult_cuda_identifier_bytes]);
    /// Waits for all ranks, `seconds` at most, which later calls wait at most, too, until their work is under way.
    int (*join)(
        struct moult_cuda_card* card, const char identifier[moult_cuda_identifier_bytes], int rank, int ranks,
        double seconds, struct moult_cuda_group** group);
    /// Sums over the ranks, in place, of `tensors` float32 tensors.
    int (*sum)(struct moult_cuda_group* group, const uint64_t* addresses, const size_t* counts, size_t tensors);
    /// The parts of this rank, of each tensor `counts` float32 values, of the sums of all ranks' ranks · counts values.
    int (*reduce_scatter)(
        struct moult_cuda_group* group, const uint64_t* from, const uint64_t* to, const size_t* counts,
        size_t tensors);
    /// Of each tensor `bytes` of every rank, one behind another; this rank's may stand in their place already.
    int (*all_gather)(
        struct moult_cuda_group* group, const uint64_t* from, const uint64_t* to, const size_t* bytes,
        size_t tensors);
    int (*broadcast)(struct moult_cuda_group* group, uint64_t values, size_t bytes, int root);
    /// Lets what is given to the card from now on wait for what the group was asked for.
    int (*wait)(struct moult_cuda_group* group);
    /// Fails when something has gone wrong since.
    int (*check)(struct moult_cuda_group* group);
    /// Ends what is under way, from any thread; the group is of no use then.
    void (*leave)(struct moult_cuda_group* group);
};

/// NCCL, which is loaded by the first call.
const struct moult_cuda_collectives* moult_cuda_nccl(void);

/// The installed driver, which is loaded by the first call.
const struct moult_cuda* moult_cuda_driver(void);

/// The text of a file in kernels/, null for another name.
const char* moult_cuda_source(const char* name);

#ifdef __cplusplus
}
#endif
