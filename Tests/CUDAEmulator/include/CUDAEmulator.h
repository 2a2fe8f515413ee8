// Runs the CUDA kernels on the CPU, thread by thread, in the place of the driver, so that they and the backend that
// launches them are tested on machines without a GPU. Slow, and exact about what counts: warps, barriers, tensor-core
// fragments, bfloat16 rounding, memory that holds NaNs until it is written, work that is recorded and replayed.
#pragma once
#include "CCUDA.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Two GPUs, whose memory is the host's, each its own part. Their kernels are the instances that kernels/*.cpp register.
const struct moult_cuda* moult_emulated_cuda(void);

/// NCCL among them: a rank is a thread of this process.
const struct moult_cuda_collectives* moult_emulated_nccl(void);

/// Sets how many bytes of memory each has.
void moult_emulated_memory(size_t bytes);

/// Sets how many bytes of the host's memory each can reach.
void moult_emulated_host_memory(size_t bytes);

/// Bytes that are allocated: of a card's own memory, and of the host's that it reaches.
typedef struct {
    size_t card, host;
} moult_emulated_bytes;

moult_emulated_bytes moult_emulated_held(int card);

/// Kernels and products that were done so far, each time that work is replayed too.
size_t moult_emulated_launches(void);

#ifdef __cplusplus
}
#endif
