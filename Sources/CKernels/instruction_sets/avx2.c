#include "instruction_sets/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define VECTOR_WIDTH 8
#define TILE_ROWS 6
#define VECTOR_FMA
#define VECTOR_F16C
#define VECTOR_INTEGER __m256i
#define VECTOR_MADD _mm256_madd_epi16
#define VECTOR_MADD_BYTES _mm256_maddubs_epi16
#define TABLE moult_kernels_avx2
#define TABLE_NAME "avx2"
#include "instruction_sets/kernels.inc"

#pragma clang attribute pop

#endif
