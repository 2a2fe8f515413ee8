#ifndef MOULT_TYPES_H
#define MOULT_TYPES_H

/// Element types that kernels read; arithmetic is in float32. The last two are grouped: moult_grouped.h has their layout.
enum moult_type { moult_float32, moult_bfloat16, moult_float16, moult_q8, moult_q4 };

/// What a function that allocates scratch memory returns.
enum moult_status { moult_success, moult_out_of_memory };

/// Pointwise nonlinearities: x · sigmoid(x), x · Φ(x) with the normal distribution's Φ, and x · sigmoid(2u) with
/// u = sqrt(2 / π) · (x + 0.044715 · x³), which is x · (1 + tanh(u)) / 2.
enum moult_activation { moult_silu, moult_gelu, moult_gelu_tanh };

#endif
