#ifndef MOULT_ATTENTION_H
#define MOULT_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "moult_cache.h"

/// Causal softmax attention: q (B, T, H, K), k (B, S, N, K), v (B, S, N, V) → out (B, T, H, V), all contiguous.
struct moult_attention {
    int64_t batch, queries, keys, heads, key_value_heads, key_dim, value_dim;
    /// Keys that a query sees up to its own, that included; at least 1, `keys` for all.
    int64_t window;
    /// Keys from the first of its document on that a query sees besides; 0 to 64.
    int64_t sinks;
    float scale;
    /// Scores go through cap · tanh(score / cap); 0 for none.
    float cap;
    const float *q, *k, *v;
    /// What stands for q where a query sees a sink that its window does not reach; NULL for q. Only in the forward pass.
    const float *sink_q;
    float *out;
    /// Ascending starts of packed documents among the keys; may be NULL when the count is 0.
    const int64_t *documents;
    int64_t document_count;
    /// How keys and values are held. Those that are not float32 stand in `held_k` and `held_v` in the shapes of k and v, codes
    /// with scales (B, S, N). Only in the forward pass.
    enum moult_cache_type held_type;
    const void *held_k, *held_v;
    const float *k_scales, *v_scales;
};

/// Returns 0, or how many bytes of scratch memory could not be had; `out` is then undefined.
size_t moult_attention(const struct moult_attention *job);

/// The backward pass of `forward`, whose `out` holds its result: from the gradient of that, in the same shape, to those of
/// q, k and v.
struct moult_attention_backward {
    struct moult_attention forward;
    const float *gradient;
    float *q_gradient, *k_gradient, *v_gradient;
};

/// Returns 0, or how many bytes of scratch memory could not be had; the gradients are then undefined. The results are the
/// same to the bit for any number of threads.
size_t moult_attention_backward(const struct moult_attention_backward *job);

#endif
