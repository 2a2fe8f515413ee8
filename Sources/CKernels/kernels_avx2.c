#include "kernels.h"

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define VECTOR_WIDTH 8
#define TILE_ROWS 6
#define VECTOR_FMA
#define VECTOR_F16C
#define TABLE moult_kernels_avx2
#define TABLE_NAME "avx2"
#include "kernels.inc"

#pragma clang attribute pop

#endif
