#include "include/moult_quantise.h"

#include <stdatomic.h>

#include "foundation/body.h"
#include "foundation/scratch.h"

struct rounding {
    const struct moult_quantise *weight;
    atomic_bool failed;
};

BODY(quantise_body) {
    struct rounding *job = context;
    (void)thread;
    const struct moult_kernels *kernels = moult_kernels();
    float *scratch = moult_scratch((size_t)kernels->quantise_scratch(job->weight->inputs) * sizeof *scratch);
    if (!scratch) {
        atomic_store(&job->failed, true);
        return;
    }
    for (int64_t tile = begin; tile < end; tile++) kernels->quantise_tile_row(job->weight, tile, scratch);
}

enum moult_status moult_quantise(const struct moult_quantise *weight) {
    struct rounding job = {weight, false};
    moult_parallel_for(moult_tile_rows(weight->outputs), 1, quantise_body, &job);
    return atomic_load(&job.failed) ? moult_out_of_memory : moult_success;
}

enum { side = moult_group_inputs };

static int64_t panel_offset(int64_t group) { return group * (group + 1) / 2 * side * side; }

struct factoring {
    const float *moment;
    int64_t inputs, group;
    float damping;
    float *panels, *importance;
};

BODY(load_body) {
    JOB(factoring);
    for (int64_t group = begin; group < end; group++) {
        float *panel = job->panels + panel_offset(group);
        for (int64_t i = 0; i < (group + 1) * side; i++) {
            memcpy(panel + i * side, job->moment + i * job->inputs + group * side, side * sizeof *panel);
        }
        for (int64_t j = 0; j < side; j++) panel[(group * side + j) * side + j] += job->damping;
    }
}

/// Turns the columns of the group's block into those of U and D, from the last column to the first.
static void factor_diagonal(float *block, float damping, float *importance) {
    for (int64_t j = side - 1; j >= 0; j--) {
        // The damping bounds every pivot from below; rounding must not take it to 0.
        const float pivot = block[j * side + j] > damping ? block[j * side + j] : damping;
        importance[j] = pivot;
        for (int64_t i = 0; i < j; i++) block[i * side + j] /= pivot;
        for (int64_t i = 0; i < j; i++) {
            for (int64_t k = i; k < j; k++) block[i * side + k] -= block[i * side + j] * block[k * side + j] * pivot;
        }
    }
}

/// Rows above the group's block: H_rows = U_rows D U_blockᵀ, solved for U_rows from the last column to the first.
BODY(solve_body) {
    JOB(factoring);
    float *panel = job->panels + panel_offset(job->group);
    const float *block = panel + job->group * side * side, *importance = job->importance + job->group * side;
    for (int64_t i = begin; i < end; i++) {
        float *row = panel + i * side;
        for (int64_t j = side - 1; j >= 0; j--) {
            const float scaled = row[j];
            row[j] /= importance[j];
            for (int64_t k = 0; k < j; k++) row[k] -= scaled * block[k * side + j];
        }
    }
}

BODY(update_body) {
    JOB(factoring);
    const float *panel = job->panels + panel_offset(job->group);
    for (int64_t group = begin; group < end; group++) {
        moult_kernels()->feedback_update(
            panel, job->importance + job->group * side, job->panels + panel_offset(group), group, (group + 1) * side);
    }
}

void moult_feedback(const float *moment, int64_t inputs, float damping, float *panels, float *importance) {
    struct factoring job = {moment, inputs, 0, damping, panels, importance};
    moult_parallel_for(inputs / side, 1, load_body, &job);
    for (job.group = inputs / side - 1; job.group >= 0; job.group--) {
        factor_diagonal(
            panels + panel_offset(job.group) + job.group * side * side, damping, importance + job.group * side);
        moult_parallel_for(job.group * side, 64, solve_body, &job);
        moult_parallel_for(job.group, 4, update_body, &job);
    }
}
