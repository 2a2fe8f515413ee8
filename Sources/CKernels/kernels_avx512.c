#include "kernels.h"

#if defined(__x86_64__)

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)

#define VECTOR_WIDTH 16
#define TILE_ROWS 12
#define VECTOR_FMA
#define VECTOR_F16C
#define TABLE moult_kernels_avx512
#define TABLE_NAME "avx512"
#include "kernels.inc"

#pragma clang attribute pop

#endif
