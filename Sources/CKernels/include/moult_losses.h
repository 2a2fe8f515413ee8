#ifndef MOULT_LOSSES_H
#define MOULT_LOSSES_H

#include <stdint.h>

#include "moult_types.h"

// Sums are in an order that does not depend on the number of threads.

/// losses[r] = logsumexp(hidden[r] · headᵀ) - (hidden[r] · headᵀ)[targets[r]]: hidden (rows, inputs), head
/// (outputs, inputs). Holds one tile of logits per thread at a time. Unless `cap` is 0, logits are cap · tanh(logit / cap).
enum moult_status moult_negative_log_likelihood(
    const float *hidden, int64_t rows, int64_t inputs, const void *head, enum moult_type type, int64_t outputs,
    float cap, const int32_t *targets, float *losses);

/// A loss of the logits hidden (rows, inputs) · headᵀ, head (outputs, inputs), and its gradients.
struct moult_loss {
    int64_t rows, inputs, outputs;
    const float *hidden;
    const void *head;
    enum moult_type type;
    float cap;               // of the logits, which are cap · tanh(logit / cap); 0 for none
    float scale;             // of the gradients
    const float *weights;    // (rows), of losses and gradients; NULL for 1
    float *losses;           // (rows), in nats
    float *hidden_gradient;  // (rows, inputs)
    float *head_gradient;    // (outputs, inputs), added to; or NULL
};

/// The negative log-likelihood of one target per row; rows with a target of -1 count for nothing.
enum moult_status moult_cross_entropy(const struct moult_loss *loss, const int32_t *targets);

/// KL(teacher ‖ student) of softmax(teacher_hidden · teacher_headᵀ): teacher_hidden (rows, teacher_inputs),
/// teacher_head (outputs, teacher_inputs), with a cap of its own.
enum moult_status moult_divergence(
    const struct moult_loss *loss, const float *teacher_hidden, int64_t teacher_inputs, const void *teacher_head,
    enum moult_type teacher_type, float teacher_cap);

/// Σ x², in float64.
enum moult_status moult_sum_of_squares(const float *x, int64_t count, double *sum);

/// loss = Σ (x - target)² / Σ target², and its gradient with respect to x.
enum moult_status moult_squared_error(
    const float *x, const float *target, int64_t count, double *loss, float *gradient);

#endif
