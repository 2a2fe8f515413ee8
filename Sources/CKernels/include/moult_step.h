#ifndef MOULT_STEP_H
#define MOULT_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "moult_cache.h"
#include "moult_elementwise.h"
#include "moult_linear.h"
#include "moult_pointwise.h"
#include "moult_types.h"

/// A model's step, one token for each of several sequences: operations recorded once and run for every token, all of them in
/// one hand-off to the pool and without allocating. Weights and states are read where they are and must outlive the step.
///
/// What makes an operation returns NULL or false when there is no memory. Operations that an operation can be done with join it:
/// what follows one may be told to be its last part.
struct moult_step;

/// A step of at most `rows` sequences.
struct moult_step *moult_step_create(int64_t rows);
void moult_step_destroy(struct moult_step *step);

/// Whether it has no operation.
bool moult_step_is_empty(const struct moult_step *step);

/// Runs the operations in the order in which they were recorded, on the first `rows` rows.
enum moult_status moult_step_run(struct moult_step *step, int64_t rows);

/// Memory that lives as long as the step: 64-byte aligned, zeroed.
void *moult_step_memory(struct moult_step *step, size_t bytes);

/// Activations that operations hand on, of the step's rows; they live as long as the step.
struct moult_step_rows {
    int64_t width;
    float *values;         // (rows, width)
    int8_t *codes;         // the same rounded for quantised weights, or NULL where none reads them
    float *scales, *sums;  // (rows, width / 32) each, of `codes`
    bool rounds;           // whether the operation that writes them rounds them, where there are codes
};

/// Rows whose elements are `values`.
struct moult_step_rows *moult_step_make_rows(struct moult_step *step, int64_t width, float *values);

/// Rounds x for quantised weights, if that is not done yet, into `codes`, (rows, width), and `scales` and `sums`.
bool moult_step_round(struct moult_step *step, struct moult_step_rows *x, int8_t *codes, float *scales, float *sums);

/// out = the rows of `table` (outputs, out's width) that `ids` (rows) name.
bool moult_step_embedding(
    struct moult_step *step, const int32_t *ids, const struct moult_product *table, struct moult_step_rows *out);

/// out = x normed, every `norm->dim` elements of a row by themselves.
bool moult_step_norm(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_norm *norm, struct moult_step_rows *out);

/// Products that one operation does.
enum { moult_step_most_products = 8 };

/// x · weightᵀ + bias for every product, in its `out`; with an `addend` to that of the only one; then, unless `cap` is 0,
/// cap · tanh(· / cap).
bool moult_step_linear(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_product *products, int64_t count,
    const struct moult_step_rows *addend, float cap);

/// out = act(gate) · up with the two products of x; the products' own `out` keeps their results.
bool moult_step_gated_linear(
    struct moult_step *step, const struct moult_step_rows *x, enum moult_activation activation,
    const struct moult_product *gate, const struct moult_product *up, struct moult_step_rows *out);

// MARK: Element by element

/// out = x + y.
bool moult_step_add(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_rows *y, struct moult_step_rows *out);

/// out = act(x), or, unless `up` is NULL, act(x) · up.
bool moult_step_activated(
    struct moult_step *step, enum moult_activation activation, const struct moult_step_rows *x,
    const struct moult_step_rows *up, struct moult_step_rows *out);

/// Whether that would be done by the operation before, which made x; then `out` may be nothing that this one reads.
bool moult_step_activates(const struct moult_step *step, const struct moult_step_rows *x);

/// out = factor · x.
bool moult_step_scale(struct moult_step *step, const struct moult_step_rows *x, float factor, struct moult_step_rows *out);

/// out = logsigmoid(x) / divisor.
bool moult_step_log_gate(
    struct moult_step *step, const struct moult_step_rows *x, float divisor, struct moult_step_rows *out);

/// out = x / √(Σ x² + ε), every `dim` elements by themselves.
bool moult_step_l2_norm(
    struct moult_step *step, const struct moult_step_rows *x, float epsilon, int64_t dim, struct moult_step_rows *out);

/// An expression without sums, of all rows of the step.
struct moult_step_pointwise {
    struct moult_pointwise expression;
    const struct moult_step_rows *out;  // of the first result
};
bool moult_step_pointwise(struct moult_step *step, const struct moult_step_pointwise *call);

// MARK: Heads

/// out = every head of x (rows, heads, K) turned by the angles (rows, K / 2).
bool moult_step_rope(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_rows *cosines,
    const struct moult_step_rows *sines, int64_t heads, struct moult_step_rows *out);

/// Copies the heads in `set`, of `width` elements each, from their places among all to one after the other, or back.
bool moult_step_copy_heads(
    struct moult_step *step, const struct moult_step_rows *x, uint64_t set, int64_t width, bool back,
    struct moult_step_rows *out);

/// Heads that a mixer joins: q (rows, H, K), k (rows, N, K), v (rows, N, V) → out (rows, H, V).
struct moult_step_heads {
    int64_t heads, key_value_heads, key_dim, value_dim;
    uint64_t set;  // the key/value heads that are joined, by bits; 0 for all. Others of `out` are left alone
    float scale;
    float cap;  // of the scores of softmax attention; 0 for none
    const struct moult_step_rows *q, *k, *v;
    const struct moult_step_rows *cosines, *sines;  // (rows, K / 2), by which q and k turn; NULL for no positions
    const struct moult_step_rows *sink_cosines, *sink_sines;  // by which q turns for sinks, where a cache says so; or NULL
    bool silu;                                      // of q, k and v, before anything else
    struct moult_step_rows *out;
};

/// Gated Slot Attention with log gates logsigmoid(gates) / divisor, gates (rows, n, M), over slots (n, M, K) and (n, M, V) of each
/// row, which are updated where they are.
bool moult_step_gated_slots(
    struct moult_step *step, const struct moult_step_heads *heads, const struct moult_step_rows *gates, float divisor,
    int64_t slots, float **keys, float **values);

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

/// Softmax attention over what the `caches` of the rows hold, each at most `most` rows.
bool moult_step_attention(
    struct moult_step *step, const struct moult_step_heads *heads, int64_t most, struct moult_step_cache *caches);

/// A recurrence over the states (N, K, V) of each row, which are updated where they are; see moult_recurrence and
/// moult_general_delta.
struct moult_step_recurrence {
    int64_t heads, key_value_heads, key_dim, value_dim, decay_dim;
    float scale;
    const struct moult_step_rows *q, *k, *v, *log_decays;
    const struct moult_step_rows *betas;   // NULL for none
    const struct moult_step_rows *a, *b;   // of a generalised delta rule, or NULL
    float **states;                        // of every row
    const struct moult_step_rows *out;
};
bool moult_step_recurrence(struct moult_step *step, const struct moult_step_recurrence *call);

/// What comes of the heads' outputs (rows, H, V) before the output projection.
struct moult_step_join {
    int64_t heads, value_dim;
    const struct moult_step_rows *x;
    const struct moult_step_rows *window;  // y of w · y + (1 - w) · x with w = sigmoid(share), or NULL
    const struct moult_step_rows *share;   // (rows, n · G)
    int64_t key_value_heads;               // N, of which the n in `set` are mixed and the others left alone; 0 for all
    uint64_t set;
    bool silu;                             // of x
    const float *norm_weight;              // (H · V) of an RMS norm over all heads, or NULL
    float norm_epsilon;
};

bool moult_step_join(struct moult_step *step, const struct moult_step_join *join, struct moult_step_rows *out);

// MARK: States

/// out = what stands at the places of the rows, and back.
bool moult_step_gather(struct moult_step *step, float **places, struct moult_step_rows *out);
bool moult_step_scatter(struct moult_step *step, const struct moult_step_rows *x, float **places);

// MARK: Experts

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

/// inner (rows, active · F) = act(gate) · up for x of the experts that each row takes.
bool moult_step_experts_inner(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_routes *routes,
    const struct moult_expert *experts, int64_t count, enum moult_activation activation, struct moult_step_rows *inner);

/// out = down of what the operation before has made, times the experts' weights.
bool moult_step_experts_outer(struct moult_step *step, const struct moult_step_rows *inner, struct moult_step_rows *out);

#endif
