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

#endif
