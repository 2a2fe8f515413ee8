#ifndef MOULT_EXPERTS_H
#define MOULT_EXPERTS_H

#include <stdbool.h>
#include <stdint.h>

// Mixtures of experts: which experts a row takes, and the rows that an expert takes.

/// The `active` experts that have a row's largest logits (experts), of equal ones the first, and their shares of
/// softmax(logits), divided by their sum where `normalised`: both (active), the largest first.
void moult_route_row(
    const float *logits, int64_t experts, int64_t active, bool normalised, int32_t *chosen, float *shares);

/// weights (experts, rows) = those shares for logits (rows, experts), and 0 where a row does not take an expert.
void moult_route(
    const float *logits, int64_t rows, int64_t experts, int64_t active, bool normalised, float *weights);

/// The gradient of the logits from that of `weights`, both as above.
void moult_route_backward(
    const float *gradient, const float *logits, const float *weights, int64_t rows, int64_t experts, bool normalised,
    float *out);

/// Row i of out (count, dim) = shares[ids[i]] · row ids[i] of x; `shares` may be NULL for 1.
void moult_take_rows(
    const float *x, const int32_t *ids, const float *shares, int64_t count, int64_t dim, float *out);

/// Row ids[i] of sum += shares[ids[i]] · row i of x (count, dim); no id comes twice.
void moult_add_rows(
    const float *x, const int32_t *ids, const float *shares, int64_t count, int64_t dim, float *sum);

/// out[ids[i]] = row i of x (count, dim) · row ids[i] of y.
void moult_row_products(
    const float *x, const float *y, const int32_t *ids, int64_t count, int64_t dim, float *out);

#endif
