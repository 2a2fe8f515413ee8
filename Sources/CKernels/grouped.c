#include "include/moult_grouped.h"

#include "body.h"

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
