// What every processor of the architecture has: SSE2 on x86-64.
#include "instruction_sets/kernels.h"

#if !defined(__aarch64__)

#define VECTOR_WIDTH 4
#define TILE_ROWS 6
#define TABLE moult_kernels_baseline
#define TABLE_NAME "baseline"
#include "instruction_sets/kernels.inc"

#endif
