#ifndef MOULT_SHORT_CONVOLUTION_H
#define MOULT_SHORT_CONVOLUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "moult_types.h"

/// A causal convolution of each channel over a few tokens: z[t] = bias + Σ_j weight[j] · x[t - width + 1 + j], out =
/// act(z). There is at least one token.
struct moult_short_convolution {
    int64_t batch, tokens, dim, width;
    const float *x;        // (batch, tokens, dim)
    const float *weight;   // (dim, width)
    const float *bias;     // (dim); NULL for none
    const float *state;    // (batch, width - 1, dim): the tokens before the first; NULL for zeros
    const int32_t *first;  // (batch, tokens): the first token of each one's document; NULL for one document
    bool is_activated;
    enum moult_activation activation;
};

/// `final`, unless it is NULL, receives the state after the last token, (batch, width - 1, dim).
enum moult_status moult_short_convolution(const struct moult_short_convolution *call, float *out, float *final);

/// Gradients, from that of `out` and, unless it is NULL, that of `final`: of x, weight and, unless they are NULL, of
/// the bias and the state. Sums are in an order that does not depend on the number of threads.
enum moult_status moult_short_convolution_backward(
    const struct moult_short_convolution *call, const float *gradient, const float *final_gradient, float *x_out,
    float *weight_out, float *bias_out, float *state_out);

#endif
