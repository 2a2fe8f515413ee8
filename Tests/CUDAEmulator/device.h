// What the emulator shows the kernels that it loads: they are in another library, with no names in common.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct dim3 { unsigned x = 1, y = 1, z = 1; };

namespace moult_emulator {

struct Device {
    dim3 *thread, *block, *block_size, *grid_size;
    unsigned char** shared_memory;
    void (*block_barrier)();
    void (*warp_barrier)();
    uint32_t* (*exchange)(int);
    uint32_t* (*begin_collective)();
    int (*lane)();
};

}  // namespace moult_emulator
