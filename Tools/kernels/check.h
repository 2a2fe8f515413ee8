// What the checks of the kernels share. Each compares a function of CKernels with its definition in float64.
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

/// Whether the larger shapes are checked, too.
extern bool thorough;

/// Floats that are all NaN, with a margin behind them that `check_floats` finds touched. Freed by `release`.
float *space(int64_t count);
/// Floats of a normal distribution.
float *normal(int64_t count, double deviation);
double *doubles(int64_t count);
/// Any bytes, zero, 64-byte aligned, with a margin.
void *bytes(int64_t count);
/// Frees all that was given out since the last call.
void release(void);

/// The next random integer below `limit`.
int64_t below(int64_t limit);

/// Counts a comparison, and prints it when the greatest difference is above tolerance · the greatest |expected|, when a
/// value is not finite, or when what lies behind `found` (of `space`) was written.
void check_floats(const char *what, const float *found, const double *expected, int64_t count, double tolerance);
/// The same with tolerance · `least` at least: where what is expected are differences of greater numbers.
void check_near(
    const char *what, const float *found, const double *expected, int64_t count, double tolerance, double least);
void check(const char *what, bool holds);
/// Names the shape that the following checks are of.
void shape(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// `x` rounded to `type` (not grouped), and what it then is.
void *rounded(const float *x, int64_t count, enum moult_type type, float **value);
const char *name_of(enum moult_type type);

void check_elements(void);
void check_products(void);
void check_attention(void);
void check_slots(void);
void check_recurrences(void);
void check_general_delta(void);
void check_losses(void);
void check_quantisation(void);
void check_steps(void);

/// The definition of the recurrence, used by the checks of whole sequences and of single steps.
void slots_oracle(const struct moult_gated_slot_attention *job, double *keys, double *values, double *out);
void attention_oracle(const struct moult_attention *job, double *out);

#define ALL(n) (int64_t)(sizeof(n) / sizeof *(n))

#endif
