#include "instruction_sets/kernels.h"

#if defined(__aarch64__)

#define VECTOR_WIDTH 4
#define TILE_ROWS 12
#define VECTOR_FMA
#define VECTOR_F16C
#define TABLE moult_kernels_neon
#define TABLE_NAME "neon"
#include "instruction_sets/kernels.inc"

#endif
