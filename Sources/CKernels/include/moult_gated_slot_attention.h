#ifndef MOULT_GATED_SLOT_ATTENTION_H
#define MOULT_GATED_SLOT_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

/// Gated Slot Attention: q (B, T, H, K), k (B, T, N, K), v (B, T, N, V), log_gates (B, T, N, M) → out (B, T, H, V),
/// all contiguous. slot_keys (B, N, M, K) and slot_values (B, N, M, V) hold the initial state and then the final one.
struct moult_gated_slot_attention {
    int64_t batch, tokens, heads, key_value_heads, key_dim, value_dim, slots;
    float scale;
    const float *q, *k, *v, *log_gates;
    float *slot_keys, *slot_values, *out;
    /// Ascending starts of packed documents, the first 0; may be NULL when the count is 0. The state is zeroed at
    /// every start but the first.
    const int64_t *documents;
    int64_t document_count;
};

/// How the operation is computed; the results differ only in rounding.
enum moult_gated_slot_form {
    /// The fastest for the shape.
    moult_gated_slot_automatic,
    /// Token by token, updating the state in place.
    moult_gated_slot_recurrent,
    /// Matrix products over blocks of tokens, one sequence and key/value head after the other.
    moult_gated_slot_blocked,
    /// The states at chunk boundaries first, then all chunks at once.
    moult_gated_slot_chunked,
};

/// Returns 0, or how many bytes of scratch memory could not be had; the state and `out` are then undefined.
size_t moult_gated_slot_attention(
    const struct moult_gated_slot_attention *job, enum moult_gated_slot_form form);

/// The backward pass of `forward`, whose slot_keys and slot_values hold the initial state, unchanged, and whose `out` is
/// not used: from the gradients of the outputs and, unless NULL, of the final state to those of all inputs. Each gradient
/// has the shape of what it belongs to.
struct moult_gated_slot_attention_backward {
    struct moult_gated_slot_attention forward;
    const float *gradient, *final_keys_gradient, *final_values_gradient;
    float *q_gradient, *k_gradient, *v_gradient, *log_gates_gradient, *keys_gradient, *values_gradient;
};

/// Returns 0, or how many bytes of scratch memory could not be had; the gradients are then undefined. The results are the
/// same to the bit for any number of threads.
size_t moult_gated_slot_attention_backward(const struct moult_gated_slot_attention_backward *job);

#endif
