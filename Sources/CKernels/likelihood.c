#include <stdatomic.h>

#include "include/moult_linear.h"
#include "include/moult_pool.h"
#include "product.h"

// The logits of a tile live in one thread's scratch; only the maximum and the sum of exponentials of each row of each
// tile are kept, and combined at the end.
enum { loss_rows = 128, loss_outputs = 512 };

struct loss_job {
    struct moult_dense logits;  // all of them; never in memory
    const int32_t *targets;
    float *losses;    // the target's logit until the end
    float *partials;  // (tiles across, rows, 2)
    atomic_bool failed;
};

static void loss_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct loss_job *job = context;
    float *scratch = moult_scratch(moult_dense_scratch + sizeof(float) * loss_rows * loss_outputs);
    if (!scratch) {
        atomic_store(&job->failed, true);
        return;
    }
    float *logits = scratch + moult_dense_scratch / sizeof(float);
    int64_t down = divide_up(job->logits.rows, loss_rows);
    for (int64_t t = begin; t < end; t++) {
        int64_t row = t % down * loss_rows, across = t / down, output = across * loss_outputs;
        struct moult_dense tile = tile_of(job->logits, row, loss_rows, output, loss_outputs);
        tile.out = logits;
        compute_product(&tile, scratch);
        for (int64_t r = 0; r < tile.rows; r++) {
            float *partial = job->partials + (across * job->logits.rows + row + r) * 2;
            moult_kernels()->log_sum_exp(logits + r * loss_outputs, tile.columns, &partial[0], &partial[1]);
            int64_t target = job->targets[row + r] - output;
            if (target >= 0 && target < tile.columns) job->losses[row + r] = logits[r * loss_outputs + target];
        }
    }
}

enum moult_status moult_negative_log_likelihood(
    const float *hidden, int64_t rows, int64_t inputs, const void *head, enum moult_type type, int64_t outputs,
    const int32_t *targets, float *losses
) {
    if (rows <= 0 || outputs <= 0) return moult_success;
    int64_t across = divide_up(outputs, loss_outputs);
    float *partials = malloc((size_t)(across * rows) * 2 * sizeof(float));
    if (!partials) return moult_out_of_memory;
    const uint16_t *half = type == moult_bfloat16
        ? round_to_half(hidden, rows * inputs, moult_call_scratch((size_t)(rows * inputs) * 2)) : NULL;
    struct moult_dense logits = {
        .rows = rows, .columns = outputs, .depth = inputs, .a = hidden, .half = half, .a_row = inputs, .a_depth = 1,
        .b = head, .type = type, .b_depth = 1, .b_column = inputs, .out_row = loss_outputs};
    struct loss_job job = {logits, targets, losses, partials, false};
    moult_parallel_for(divide_up(rows, loss_rows) * across, 1, loss_body, &job);
    for (int64_t r = 0; r < rows; r++) {
        float largest = partials[r * 2];
        for (int64_t t = 1; t < across; t++) largest = fmaxf(largest, partials[(t * rows + r) * 2]);
        double sum = 0;
        for (int64_t t = 0; t < across; t++) {
            const float *partial = partials + (t * rows + r) * 2;
            sum += (double)partial[1] * exp((double)partial[0] - largest);
        }
        losses[r] = (float)(log(sum) + (double)largest - losses[r]);
    }
    free(partials);
    return atomic_load(&job.failed) ? moult_out_of_memory : moult_success;
}
