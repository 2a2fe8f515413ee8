#ifndef MOULT_STEP_H
#define MOULT_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "moult_cache.h"
#include "moult_elementwise.h"
#include "moult_linear.h"
#include "moult_types.h"

/// A model's step, one token for each of several sequences: operations recorded once and run for every token, all of them in
/// one hand-off to the pool and without allocating. Weights and states are read where they are and must outlive the step.
///
/// What makes an operation returns NULL or false when there is no memory.
struct moult_step;

/// A step of at most `rows` sequences.
struct moult_step *moult_step_create(int64_t rows);
void moult_step_destroy(struct moult_step *step);

/// Runs the operations in the order in which they were recorded, on the first `rows` rows.
enum moult_status moult_step_run(struct moult_step *step, int64_t rows);

/// Activations that operations hand on, of the step's rows; they live as long as the step.
struct moult_step_rows {
    int64_t width;
    float *values;         // (rows, width)
    int8_t *codes;         // the same rounded for quantised weights, or NULL where none reads them
    float *scales, *sums;  // (rows, width / 32) each, of `codes`
};

const struct moult_step_rows *moult_step_make_rows(struct moult_step *step, int64_t width, bool rounded);

/// out = scale · the rows of `table` (outputs, out's width) that `ids` (rows) name, or, where `add` is set, out += that.
bool moult_step_embedding(
    struct moult_step *step, const int32_t *ids, const struct moult_product *table, float scale, bool add,
    const struct moult_step_rows *out);

/// out = x normed, every `norm->dim` elements of a row by themselves, or, where `add` is set, out += that.
bool moult_step_norm(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_norm *norm, bool add,
    const struct moult_step_rows *out);

/// out = x · weightᵀ + bias for every product, or, where `add` is set, out += that; then, unless `cap` is 0, out = cap ·
/// tanh(out / cap).
bool moult_step_linear(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_product *products, int64_t count, bool add,
    float cap);

/// out = act(gate) · up with the two products of x, or act(gate) where `up` is NULL; the products' own `out` keeps their
/// results.
bool moult_step_gated_linear(
    struct moult_step *step, const struct moult_step_rows *x, enum moult_activation activation,
    const struct moult_product *gate, const struct moult_product *up, const struct moult_step_rows *out);

/// The experts that a row takes and their weights, (rows, active) each.
struct moult_step_routes {
    int64_t active;
    int32_t *chosen;
    float *shares;
};

/// Chooses by the logits (rows, experts) as moult_route_row does.
const struct moult_step_routes *moult_step_route(
    struct moult_step *step, const struct moult_step_rows *logits, int64_t active, bool normalised);

/// One of several MLPs: down(act(gate(x)) · up(x)). The products have no `out`.
struct moult_expert {
    struct moult_product gate, up, down;
};

/// sum += the outputs for x of the experts that each row takes, times their weights. `inner` (rows, active · F) is for what
/// is in between.
bool moult_step_experts(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_routes *routes,
    const struct moult_expert *experts, int64_t count, enum moult_activation activation,
    const struct moult_step_rows *inner, const struct moult_step_rows *sum);

/// Heads that a mixer joins: q (rows, H, K), k (rows, N, K), v (rows, N, V) → out (rows, H, V).
struct moult_step_heads {
    int64_t heads, key_value_heads, key_dim, value_dim;
    uint64_t set;  // the key/value heads that are joined, by bits; 0 for all. Others of `out` are left alone
    float scale;
    float cap;  // of the scores of softmax attention; 0 for none
    const float *q, *k, *v;
    const float *cosines, *sines;  // (rows, K / 2), by which q and k turn; NULL for no positions
    const float *sink_cosines, *sink_sines;  // by which q turns for sinks, where a cache says so; or NULL
    bool silu;                     // of q, k and v, before anything else
    float *out;
};

/// The slots of one sequence, (n, M, K) and (n, M, V) for n joined heads, updated in place.
struct moult_step_slots {
    float *keys, *values;
};

/// Gated Slot Attention with log gates logsigmoid(gates) / divisor, gates (rows, n, M).
/// Returns where the caller puts each row's state before it runs the step.
struct moult_step_slots *moult_step_gated_slots(
    struct moult_step *step, const struct moult_step_heads *heads, const float *gates, float divisor, int64_t slots);

/// The keys (·, n, K) and values (·, n, V) of one sequence, in any order.
struct moult_step_cache {
    enum moult_cache_type type;
    void *keys, *values;
    float *key_scales, *value_scales;  // (·, n) each, of codes
    int64_t place;  // the row that takes the new token
    int64_t held;   // rows in use, that one included
    int64_t sinks;  // of them the first ones, which q turned by the sinks' angles sees; 0 where there is no such q
    float scale;    // of q, beside that of the heads
};

/// Softmax attention over what the caches hold, each at most `most` rows. Returns where the caller puts each row's cache before it runs the step.
struct moult_step_cache *moult_step_attention(
    struct moult_step *step, const struct moult_step_heads *heads, int64_t most);

/// What comes of the heads' outputs (rows, H, V) before the output projection.
struct moult_step_join {
    int64_t heads, value_dim;
    const float *x;
    const float *window;       // y of w · y + (1 - w) · x with w = sigmoid(share), or NULL
    const float *share;        // (rows, n · G)
    int64_t key_value_heads;   // N, of which the n in `set` are mixed and of the others y is taken; 0 for all
    uint64_t set;
    bool silu;                 // of x
    const float *norm_weight;  // (H · V) of an RMS norm over all heads, or NULL
    float norm_epsilon;
};

bool moult_step_join(struct moult_step *step, const struct moult_step_join *join, const struct moult_step_rows *out);

#endif
