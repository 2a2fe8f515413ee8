// Runs the CUDA kernels on the CPU, thread by thread, so that they and the backend that launches them are tested on machines
// without a GPU. Slow, and exact about what counts: warps, barriers, tensor-core fragments, bfloat16 rounding.
#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Runs the kernel of this name expression, such as "rms_norm<4>". Arguments are pointers to the values, as those of
/// cuLaunchKernel. 0, or 1 when there is no such kernel or a barrier was not reached by all threads (the reason on
/// standard error).
int moult_emulated_launch(
    const char* name, const unsigned grid[3], const unsigned block[3], size_t shared_bytes, void** arguments);

#ifdef __cplusplus
}
#endif
