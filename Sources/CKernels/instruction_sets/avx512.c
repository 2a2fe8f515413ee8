#include "instruction_sets/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)

#define VECTOR_WIDTH 16
#define TILE_ROWS 12
#define VECTOR_FMA
#define VECTOR_F16C
#define VECTOR_INTEGER __m512i
#define VECTOR_MADD _mm512_madd_epi16
#define VECTOR_MADD_BYTES _mm512_maddubs_epi16
#define TABLE moult_kernels_avx512
#define TABLE_NAME "avx512"
#include "instruction_sets/kernels.inc"

#pragma clang attribute pop

#endif
