#include <stdatomic.h>

#include "include/moult_linear.h"
#include "include/moult_pool.h"
#include "product.h"

// The logits of a tile live in one thread's scratch; only the maximum and the sum of exponentials of each row of each
// tile are kept, and combined at the end.
enum { loss_rows = 128, loss_outputs = 512 };

struct loss_job {
    struct input input;
    int64_t outputs;
    const char *head;
    enum moult_type type;
    const int32_t *targets;
    float *losses;    // the target's logit until the end
    float *partials;  // (tiles across, rows, 2)
    atomic_bool failed;
};

static void loss_body(void *context, int64_t begin, int64_t end, int thread) {
    (void)thread;
    struct loss_job *job = context;
    float *scratch = moult_scratch(moult_many_rows_scratch + sizeof(float) * loss_rows * loss_outputs);
    if (!scratch) {
        atomic_store(&job->failed, true);
        return;
    }
    float *logits = scratch + moult_many_rows_scratch / sizeof(float);
    int64_t inputs = job->input.inputs, down = divide_up(job->input.rows, loss_rows);
    for (int64_t t = begin; t < end; t++) {
        int64_t row = t % down * loss_rows, across = t / down, output = across * loss_outputs;
        int64_t rows = least(job->input.rows - row, loss_rows), outputs = least(job->outputs - output, loss_outputs);
        product_tile(
            &job->input, row, rows, job->head + output * inputs * size_of(job->type), job->type, NULL, outputs, logits,
            loss_outputs, scratch);
        for (int64_t r = 0; r < rows; r++) {
            float *partial = job->partials + (across * job->input.rows + row + r) * 2;
            moult_kernels()->log_sum_exp(logits + r * loss_outputs, outputs, &partial[0], &partial[1]);
            int64_t target = job->targets[row + r] - output;
            if (target >= 0 && target < outputs) job->losses[row + r] = logits[r * loss_outputs + target];
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
    struct input input = prepare(hidden, rows, inputs, type == moult_bfloat16);
    struct loss_job job = {input, outputs, head, type, targets, losses, partials, false};
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
    free(input.rounded);
    free(partials);
    return atomic_load(&job.failed) ? moult_out_of_memory : moult_success;
}
