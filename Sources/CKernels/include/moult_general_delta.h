#ifndef MOULT_GENERAL_DELTA_H
#define MOULT_GENERAL_DELTA_H

#include <stddef.h>
#include <stdint.h>

/// The generalised delta rule, whose transition is diagonal plus rank one: q (B, T, H, K), k, a, b and log_decays (B, T, N, K),
/// v (B, T, N, V) → out (B, T, H, V), all contiguous. `state` (B, N, K, V) is the initial state and then the final one.
struct moult_general_delta {
    int64_t batch, tokens, heads, key_value_heads, key_dim, value_dim;
    float scale;
    const float *q, *k, *v, *log_decays, *a, *b;
    float *state, *out;
    /// Ascending starts of packed documents, the first 0; may be NULL when the count is 0. The state is zeroed at
    /// every start but the first.
    const int64_t *documents;
    int64_t document_count;
};

/// Returns 0, or how many bytes of scratch memory could not be had; the state and `out` are then undefined.
size_t moult_general_delta(const struct moult_general_delta *job);

/// The backward pass of `forward`, whose `state` is the initial one, unchanged, and whose `out` is not used: from the
/// gradients of the outputs and, unless NULL, of the final state to those of all inputs.
struct moult_general_delta_backward {
    struct moult_general_delta forward;
    const float *gradient, *final_gradient;
    float *q_gradient, *k_gradient, *v_gradient, *log_decays_gradient, *a_gradient, *b_gradient, *state_gradient;
};

/// Returns 0, or how many bytes of scratch memory could not be had; the gradients are then undefined. The results are
/// the same to the bit for any number of threads.
size_t moult_general_delta_backward(const struct moult_general_delta_backward *job);

#endif
