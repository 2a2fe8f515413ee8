#ifndef MOULT_POINTWISE_H
#define MOULT_POINTWISE_H

#include <stdbool.h>
#include <stdint.h>

#include "moult_types.h"

/// What a step of an expression computes of its operands a and b and its constant c, element by element.
enum moult_pointwise_operation {
    // Of two values.
    moult_pw_add,
    moult_pw_subtract,
    moult_pw_multiply,
    moult_pw_divide,
    // Of a value and the constant.
    moult_pw_shift,     // a + c
    moult_pw_scale,     // c · a
    moult_pw_from,      // c - a
    moult_pw_over,      // c / a
    moult_pw_at_least,  // the larger of a and c
    moult_pw_at_most,   // the smaller of a and c
    // Of a value. For these and those of two values the constant is a multiplier; these have it 1 where there is a
    // factor.
    moult_pw_square,
    moult_pw_square_root,
    moult_pw_reciprocal_square_root,
    moult_pw_exp,
    moult_pw_log,
    moult_pw_sigmoid,
    moult_pw_complement,  // sigmoid(-a)
    moult_pw_log_sigmoid,
    moult_pw_softplus,
    moult_pw_tanh,
    moult_pw_silu,
    moult_pw_gelu,
    moult_pw_gelu_tanh,
    // Slopes.
    moult_pw_sigmoid_slope,
    moult_pw_silu_slope,
    moult_pw_gelu_slope,
    moult_pw_gelu_tanh_slope,
    // a where b is above, or below, c; elsewhere 0, and NaN where b is.
    moult_pw_where_above,
    moult_pw_where_below,
};

/// One step, whose value is multiplied by `factor` unless that is negative. Operands, factor and result are places:
/// first the inputs, then the results, then registers.
struct moult_pointwise_step {
    enum moult_pointwise_operation operation;
    int32_t first, second, factor, result;
    float constant;
};

/// An input whose element for element i of the whole is values[i / inner % count].
struct moult_pointwise_input {
    const float *values;
    int64_t inner, count;
};

/// Sums of the elements i at a place that share i / inner % count.
struct moult_pointwise_sum {
    int32_t place;
    float *sums;
    int64_t inner, count;
};

/// An expression over `count` elements. inner · count of inputs and sums divide one another, and `count`.
struct moult_pointwise {
    int64_t count;
    int32_t steps, inputs, results, registers, sums;
    const struct moult_pointwise_step *step;
    const struct moult_pointwise_input *input;
    float *const *result;
    const struct moult_pointwise_sum *sum;
};

/// Runs the steps over blocks that stay in the first cache. Sums are taken in an order that depends on the shapes
/// alone.
enum moult_status moult_pointwise(const struct moult_pointwise *expression);

/// Elements [begin, end) of an expression without sums, on this thread; false without memory.
bool moult_pointwise_part(const struct moult_pointwise *expression, int64_t begin, int64_t end);

#endif
