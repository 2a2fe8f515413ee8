#ifndef MOULT_CACHE_H
#define MOULT_CACHE_H

#include <stdint.h>

/// How keys and values of past tokens are held: float32, bfloat16, or int8 codes, whose scale is a float32 for every token and
/// head.
enum moult_cache_type { moult_cache_float32, moult_cache_bfloat16, moult_cache_codes };

/// Rounds rows of x (rows, dim) to codes, which stand for scale · code with one scale a row. What they stand for is rounded to
/// the same codes and scales again.
void moult_round_codes(const float *x, int64_t rows, int64_t dim, int8_t *codes, float *scales);

/// The reverse: out (rows, dim).
void moult_widen_codes(const int8_t *codes, const float *scales, int64_t rows, int64_t dim, float *out);

#endif
