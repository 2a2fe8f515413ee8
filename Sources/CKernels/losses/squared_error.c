#include "foundation/body.h"
#include "foundation/scratch.h"
#include "include/moult_losses.h"

// Sums over blocks of a fixed size, added up in order.

enum { sum_block = 1 << 16 };

struct sum {
    const float *x, *target;
    int64_t count;
    double *parts;  // (blocks, 2)
};

BODY(sum_body) {
    JOB(sum);
    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * sum_block, count = job->count - first < sum_block ? job->count - first : sum_block;
        const float *x = job->x + first;
        double *part = job->parts + block * 2;
        part[0] = part[1] = moult_kernels()->sum_of_squares(x, count);
        if (!job->target) continue;
        part[0] = moult_kernels()->squared_distance(x, job->target + first, count);
        part[1] = moult_kernels()->sum_of_squares(job->target + first, count);
    }
}

/// Σ x², or Σ (x - target)² and Σ target².
static enum moult_status sum_blocks(const float *x, const float *target, int64_t count, double sums[2]) {
    int64_t blocks = (count + sum_block - 1) / sum_block;
    double *parts = moult_call_scratch((size_t)blocks * 2 * sizeof *parts);
    if (!parts) return moult_out_of_memory;
    struct sum job = {x, target, count, parts};
    moult_parallel_for(blocks, 1, sum_body, &job);
    sums[0] = sums[1] = 0;
    for (int64_t i = 0; i < blocks; i++) {
        sums[0] += parts[i * 2];
        sums[1] += parts[i * 2 + 1];
    }
    return moult_success;
}

enum moult_status moult_sum_of_squares(const float *x, int64_t count, double *sum) {
    double sums[2];
    enum moult_status status = sum_blocks(x, NULL, count, sums);
    *sum = sums[0];
    return status;
}

struct difference {
    const float *x, *target;
    float scale;
    float *gradient;
};

BODY(difference_body) {
    JOB(difference);
    moult_kernels()->scaled_difference(
        job->x + begin, job->target + begin, job->scale, job->gradient + begin, end - begin);
}

enum moult_status moult_squared_error(
    const float *x, const float *target, int64_t count, double *loss, float *gradient
) {
    double sums[2];
    enum moult_status status = sum_blocks(x, target, count, sums);
    if (status != moult_success) return status;
    *loss = sums[0] / sums[1];
    struct difference job = {x, target, (float)(2 / sums[1]), gradient};
    moult_parallel_for(count, grain, difference_body, &job);
    return moult_success;
}
