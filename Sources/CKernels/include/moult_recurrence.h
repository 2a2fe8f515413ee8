#ifndef MOULT_RECURRENCE_H
#define MOULT_RECURRENCE_H

#include <stddef.h>
#include <stdint.h>

/// The gated linear recurrence and, where there are betas, the gated delta rule: q (B, T, H, K), k (B, T, N, K),
/// v (B, T, N, V), log_decays (B, T, N, D) with D = K or 1, betas (B, T, N) or NULL → out (B, T, H, V), all contiguous.
/// `state` (B, N, K, V) is the initial state and then the final one.
struct moult_recurrence {
    int64_t batch, tokens, heads, key_value_heads, key_dim, value_dim, decay_dim;
    float scale;
    const float *q, *k, *v, *log_decays, *betas;
    float *state, *out;
    /// Ascending starts of packed documents, the first 0; may be NULL when the count is 0. The state is zeroed at
    /// every start but the first.
    const int64_t *documents;
    int64_t document_count;
};

/// How the operation is computed; the results differ only in rounding.
enum moult_recurrence_form {
    /// The fastest for the shape.
    moult_recurrence_automatic,
    /// Token by token, updating the state in place.
    moult_recurrence_stepwise,
    /// Matrix products over blocks of tokens.
    moult_recurrence_blocked,
};

/// Returns 0, or how many bytes of scratch memory could not be had; the state and `out` are then undefined.
size_t moult_recurrence(const struct moult_recurrence *job, enum moult_recurrence_form form);

/// The backward pass of `forward`, whose `state` is the initial one, unchanged, and whose `out` is not used: from the
/// gradients of the outputs and, unless NULL, of the final state to those of all inputs. Each gradient has the shape of
/// what it belongs to; that of the betas is NULL where they are.
struct moult_recurrence_backward {
    struct moult_recurrence forward;
    const float *gradient, *final_gradient;
    float *q_gradient, *k_gradient, *v_gradient, *log_decays_gradient, *betas_gradient, *state_gradient;
};

/// Returns 0, or how many bytes of scratch memory could not be had; the gradients are then undefined. The results are
/// the same to the bit for any number of threads.
size_t moult_recurrence_backward(const struct moult_recurrence_backward *job);

#endif
