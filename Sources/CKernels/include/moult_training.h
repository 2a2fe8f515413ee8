#ifndef MOULT_TRAINING_H
#define MOULT_TRAINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moult_elementwise.h"
#include "moult_types.h"

// Backward operations, losses and the optimiser. Each is the gradient of the function of moult_elementwise.h or
// moult_linear.h that its name starts with. Sums are in an order that does not depend on the number of threads.

// MARK: Products

/// One term of moult_linear_backward: gradient (rows, outputs) and weight (outputs, inputs).
struct moult_term {
    const float *gradient;
    const void *weight;
    int64_t outputs;
    enum moult_type type;
};

/// out (rows, inputs) = the sum of gradient · weight over the terms.
enum moult_status moult_linear_backward(
    const struct moult_term *terms, int64_t count, int64_t rows, int64_t inputs, float *out);

/// weight (outputs, inputs) = gradientᵀ · x, or with `add` +=: gradient (rows, outputs), x (rows, inputs). `half` allows
/// both to be rounded to bfloat16.
enum moult_status moult_linear_weight_gradient(
    const float *gradient, const float *x, int64_t rows, int64_t outputs, int64_t inputs, bool half, bool add,
    float *weight);

/// sums (columns) += the sum of the rows of x (rows, columns).
void moult_column_sums(const float *x, int64_t rows, int64_t columns, float *sums);

/// Row ids[i] of table (…, dim) += row i of gradient, for each i.
void moult_embedding_backward(const float *gradient, const int32_t *ids, int64_t count, int64_t dim, float *table);

// MARK: Element by element

/// y += scale · x
void moult_add_scaled(const float *x, float scale, float *y, int64_t count);

void moult_activated_backward(
    enum moult_activation activation, const float *gradient, const float *x, float *out, int64_t count);

void moult_gated_backward(
    enum moult_activation activation, const float *gradient, const float *gate, const float *up, float *gate_out,
    float *up_out, int64_t count);

void moult_log_gate_backward(const float *gradient, const float *x, float divisor, float *out, int64_t count);

void moult_mix_backward(
    const float *gradient, const float *x, const float *y, const float *logits, float *x_out, float *y_out,
    float *logits_out, int64_t rows, int64_t dim);

/// The weight's gradient is added to `weight_gradient` (dim). That of the bias is moult_column_sums of `gradient`.
enum moult_status moult_norm_backward(
    const struct moult_norm *norm, const float *gradient, const float *x, float *out, float *weight_gradient,
    int64_t rows);

/// moult_rope by the negative angles.
void moult_rope_backward(
    const float *gradient, const float *cosines, const float *sines, int64_t offset, float *out, int64_t batch,
    int64_t tokens, int64_t heads, int64_t dim);

// MARK: Losses

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

// MARK: The optimiser

/// One step of AdamW over `count` elements; the corrections are 1 - betaˢᵗᵉᵖ.
struct moult_adam_w {
    int64_t count;
    float *parameter, *first, *second;
    const float *gradient;
    uint16_t *copy;  // of the parameter, in bfloat16; or NULL
    float learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, first_correction, second_correction;
};

void moult_adam_w(const struct moult_adam_w *step);

#endif
