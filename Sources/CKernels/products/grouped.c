#include "include/moult_grouped.h"

#include "foundation/body.h"
#include "products/product.h"

struct widening {
    const void *weight;
    enum moult_type type;
    int64_t inputs;
    float *out;
};

BODY(widen_body) {
    JOB(widening);
    for (int64_t o = begin; o < end; o++) {
        moult_kernels()->widen_row(job->weight, job->type, job->inputs, o, job->out + o * job->inputs);
    }
}

void moult_widen_grouped(const void *weight, enum moult_type type, int64_t outputs, int64_t inputs, float *out) {
    struct widening job = {weight, type, inputs, out};
    moult_parallel_for(outputs, rows_per_chunk(inputs), widen_body, &job);
}

struct rounding {
    const float *x;
    int64_t inputs;
    int8_t *codes;
    float *scales, *sums;
};

BODY(round_body) {
    JOB(rounding);
    const int64_t groups = job->inputs / moult_group_inputs;
    moult_kernels()->round_rows(
        job->x + begin * job->inputs, end - begin, job->inputs, job->codes + begin * job->inputs,
        job->scales + begin * groups, job->sums + begin * groups);
}

struct moult_grouped round_to_grouped(const float *x, int64_t rows, int64_t inputs, void *memory) {
    const int64_t groups = rows * (inputs / moult_group_inputs);
    float *scales = memory, *sums = scales + groups;
    struct rounding job = {x, inputs, (int8_t *)(sums + groups), scales, sums};
    moult_parallel_for(rows, divide_up(grain, inputs), round_body, &job);
    return (struct moult_grouped){job.codes, scales, sums};
}
