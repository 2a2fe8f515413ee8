#include <stdatomic.h>
#include <string.h>

#include "include/moult_gated_slot_attention.h"
#include "include/moult_pool.h"
#include "kernels.h"

struct run {
    const struct moult_gated_slot_attention_backward *job;
    const struct moult_kernels *kernels;
    int64_t chunks;
    float *boundaries;  // the states before each chunk and after the last, head by head
    atomic_size_t missing;  // bytes of scratch that could not be had
};

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/// Floats from one part of a scratch block to the next, so that each starts at a multiple of 64 bytes.
static int64_t aligned(int64_t count) { return (count + 15) / 16 * 16; }

/// One key/value head after the other: its states at the chunks' boundaries, then the chunks from the last to the first.
static void head_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct run *run = context;
    const struct moult_gated_slot_attention *forward = &run->job->forward;
    const struct moult_kernels *kernels = run->kernels;
    const int64_t boundary = kernels->slot_boundary(forward), trace = aligned(kernels->slot_trace(forward));
    const int64_t adjoint = aligned(kernels->slot_adjoint(forward));
    const int64_t work = larger(
        kernels->slot_advance_scratch(forward),
        larger(kernels->slot_recall_scratch(forward), kernels->slot_return_scratch(forward)));
    const size_t needed = (size_t)(adjoint + trace + work) * sizeof(float);
    float *gradient = moult_scratch(needed);
    if (!gradient) {
        atomic_store(&run->missing, needed);
        return;
    }
    float *traced = gradient + adjoint, *scratch = traced + trace;
    for (int64_t task = begin; task < end; task++) {
        const int64_t batch = task / forward->key_value_heads, head = task % forward->key_value_heads;
        float *states = run->boundaries + task * (run->chunks + 1) * boundary;
        kernels->slot_load_boundary(forward, batch, head, states);
        kernels->slot_advance(forward, batch, head, 0, forward->tokens, 0, forward->slots, states, scratch);
        kernels->slot_load_adjoint(run->job, batch, head, gradient);
        for (int64_t chunk = run->chunks - 1; chunk >= 0; chunk--) {
            const int64_t first = chunk * moult_slot_chunk, rest = forward->tokens - first;
            const int64_t last = rest < moult_slot_chunk ? forward->tokens : first + moult_slot_chunk;
            kernels->slot_recall(run->job, batch, head, first, last, states + chunk * boundary, traced, scratch);
            kernels->slot_return(
                run->job, batch, head, first, last, states + (chunk + 1) * boundary, traced, gradient, scratch);
        }
        kernels->slot_store_adjoint(run->job, batch, head, gradient);
    }
}

size_t moult_gated_slot_attention_backward(const struct moult_gated_slot_attention_backward *job) {
    const struct moult_gated_slot_attention *forward = &job->forward;
    const int64_t heads = forward->batch * forward->key_value_heads, rows = heads * forward->tokens;
    if (heads == 0) return 0;
    if (forward->slots == 0) {
        const int64_t queries = rows * (forward->heads / forward->key_value_heads);
        if (rows == 0) return 0;
        memset(job->q_gradient, 0, (size_t)(queries * forward->key_dim) * sizeof(float));
        memset(job->k_gradient, 0, (size_t)(rows * forward->key_dim) * sizeof(float));
        memset(job->v_gradient, 0, (size_t)(rows * forward->value_dim) * sizeof(float));
        return 0;
    }
    struct run run = {.job = job, .kernels = moult_kernels()};
    run.chunks = (forward->tokens + moult_slot_chunk - 1) / moult_slot_chunk;
    const size_t needed = (size_t)(heads * (run.chunks + 1) * run.kernels->slot_boundary(forward)) * sizeof(float);
    run.boundaries = moult_call_scratch(needed);
    if (!run.boundaries) return needed;
    moult_parallel_for(heads, 1, head_body, &run);
    return atomic_load(&run.missing);
}
