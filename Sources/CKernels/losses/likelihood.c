#include <stdatomic.h>

#include "include/moult_losses.h"
#include "include/moult_pool.h"
#include "products/product.h"

// The logits of a tile live in one thread's scratch; only the maximum and the sum of exponentials of each row of each
// tile are kept, and combined at the end.
enum { loss_rows = 128, loss_outputs = 512 };

struct loss_job {
    struct moult_dense logits;     // all of them; never in memory
    struct moult_grouped grouped;  // the hidden states for a grouped head
    float cap;                     // of the logits; 0 for none
    const int32_t *targets;
    float *losses;    // the target's logit until the end
    float *partials;  // (tiles across, rows, 2)
    atomic_bool failed;
};

/// Tile rows of a grouped head start at multiples of 16 outputs, as tiles of logits do.
static void grouped_logits(const struct loss_job *job, int64_t row, int64_t output, const struct moult_dense *tile) {
    const struct moult_dense *all = &job->logits;
    const struct moult_grouped x = grouped_from(job->grouped, row, all->depth);
    const char *head = (const char *)all->b
        + output / moult_tile_outputs * moult_tile_row_bytes(all->type, all->depth);
    moult_kernels()->grouped_rows(
        &x, tile->rows, head, all->type, all->depth, tile->columns, 0, moult_tile_rows(tile->columns), NULL, tile->out,
        tile->out_row, false);
}

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
        if (moult_is_grouped(tile.type)) grouped_logits(job, row, output, &tile);
        else compute_product(&tile, scratch);
        for (int64_t r = 0; r < tile.rows; r++) {
            if (job->cap > 0) {
                float *row = logits + r * loss_outputs;
                moult_kernels()->cap(row, job->cap, row, tile.columns);
            }
            float *partial = job->partials + (across * job->logits.rows + row + r) * 2;
            moult_kernels()->log_sum_exp(logits + r * loss_outputs, tile.columns, &partial[0], &partial[1]);
            int64_t target = job->targets[row + r] - output;
            if (target >= 0 && target < tile.columns) job->losses[row + r] = logits[r * loss_outputs + target];
        }
    }
}

enum moult_status moult_negative_log_likelihood(
    const float *hidden, int64_t rows, int64_t inputs, const void *head, enum moult_type type, int64_t outputs, float cap,
    const int32_t *targets, float *losses
) {
    if (rows <= 0 || outputs <= 0) return moult_success;
    int64_t across = divide_up(outputs, loss_outputs);
    float *partials = malloc((size_t)(across * rows) * 2 * sizeof(float));
    if (!partials) return moult_out_of_memory;
    struct moult_grouped grouped = {0};
    if (moult_is_grouped(type)) {
        void *memory = moult_call_scratch(rounded_bytes(rows, inputs));
        if (!memory) {
            free(partials);
            return moult_out_of_memory;
        }
        grouped = round_to_grouped(hidden, rows, inputs, memory);
    }
    const uint16_t *half = type == moult_bfloat16
        ? round_to_half(hidden, rows * inputs, moult_call_scratch((size_t)(rows * inputs) * 2)) : NULL;
    struct moult_dense logits = {
        .rows = rows, .columns = outputs, .depth = inputs, .a = hidden, .half = half, .a_row = inputs, .a_depth = 1,
        // A grouped head has no strides: all its tiles begin at the head.
        .b = head, .type = type, .b_depth = 1, .b_column = moult_is_grouped(type) ? 0 : inputs, .out_row = loss_outputs};
    struct loss_job job = {logits, grouped, cap, targets, losses, partials, false};
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
