#include "instruction_sets/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)

#define VECTOR_WIDTH 16
#define TILE_ROWS 12
#define VECTOR_FMA
#define VECTOR_F16C
#define VECTOR_VNNI
#define TABLE moult_kernels_avx512vnni
#define TABLE_NAME "avx512vnni"
#include "instruction_sets/kernels.inc"

#pragma clang attribute pop

#endif
