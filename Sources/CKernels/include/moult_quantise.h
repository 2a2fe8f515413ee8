#ifndef MOULT_QUANTISE_H
#define MOULT_QUANTISE_H

#include <stdint.h>

#include "moult_grouped.h"

/// Rounds weight (outputs, inputs), finite, to a grouped type. What is minimised, for every output, is
///
///     (w - ŵ)ᵀ H (w - ŵ)
///
/// where H (inputs, inputs) is the second moment of the weight's inputs, H = U D Uᵀ with U unit upper triangular. The
/// loss is then Σ_j D_j (t_j - ŵ_j)², t_j = w_j + Σ_{k<j} (w_k - ŵ_k) U_kj: rounded in order, each weight makes up for
/// the errors of those before it (LDLQ, Chee et al. 2023, arXiv 2307.13304, section 3; the same numbers as GPTQ's, Frantar
/// et al. 2022, arXiv 2210.17323). Of a group's scale and zero those are kept that leave the least of the loss.
struct moult_quantise {
    const float *weight;
    int64_t outputs, inputs;
    enum moult_type type;
    /// D, or any weights of the inputs' squared errors, (inputs), at least 0; NULL for 1.
    const float *importance;
    /// U in panels (moult_feedback); NULL for the identity.
    const float *feedback;
    /// moult_weight_bytes of `type`.
    void *out;
    /// A sum of each kind per tile row: of (w - ŵ)², of w², and of groups whose zero is in the middle of the codes.
    double *squared_errors, *squares, *symmetric_groups;
};

enum moult_status moult_quantise(const struct moult_quantise *job);

/// Floats of U in panels, one for every group: panel g holds the 32 columns of group g, its rows from 0 to the group's
/// end one after the other.
static inline int64_t moult_feedback_floats(int64_t inputs) {
    const int64_t groups = inputs / moult_group_inputs;
    return groups * (groups + 1) / 2 * moult_group_inputs * moult_group_inputs;
}

/// Factors moment + damping · I = U D Uᵀ, moment (inputs, inputs) symmetric and not negative, damping above 0, inputs a
/// multiple of 32: U in panels, its diagonal and what is below it unset, and D (inputs).
void moult_feedback(const float *moment, int64_t inputs, float damping, float *panels, float *importance);

#endif
