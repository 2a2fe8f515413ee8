// What the emulated driver is made of.
#pragma once
#include "CUDAEmulator.h"
#include "registry.h"

namespace moult_emulator {

/// Makes `message` the reason that error() gives, and returns 1.
int fail(const std::string& message);

/// Runs `kernel` over a grid of blocks. Arguments are pointers to the values, as those of cuLaunchKernel.
int run(
    const Kernel& kernel, const unsigned grid[3], const unsigned block[3], size_t shared_bytes, void** arguments);

/// The product of `moult_cuda_product`, of operands in host memory.
void multiply(const moult_cuda_product& product);

}  // namespace moult_emulator
