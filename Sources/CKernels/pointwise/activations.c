#include "foundation/body.h"
#include "include/moult_elementwise.h"

/// The arguments of one call, for whichever body runs it.
struct job {
    enum moult_activation activation;
    const float *gradient, *x, *up;
    float *out, *up_out;
};

BODY(activated_body) {
    JOB(job);
    moult_kernels()->activated(job->activation, job->x + begin, job->out + begin, end - begin);
}

void moult_activated(enum moult_activation activation, const float *x, float *out, int64_t count) {
    struct job job = {.activation = activation, .x = x, .out = out};
    moult_parallel_for(count, costly_grain, activated_body, &job);
}

BODY(gated_body) {
    JOB(job);
    moult_kernels()->gated(job->activation, job->x + begin, job->up + begin, job->out + begin, end - begin);
}

void moult_gated(enum moult_activation activation, const float *gate, const float *up, float *out, int64_t count) {
    struct job job = {.activation = activation, .x = gate, .up = up, .out = out};
    moult_parallel_for(count, costly_grain, gated_body, &job);
}

BODY(activated_backward_body) {
    JOB(job);
    moult_kernels()->activated_backward(
        job->activation, job->gradient + begin, job->x + begin, job->out + begin, end - begin);
}

void moult_activated_backward(
    enum moult_activation activation, const float *gradient, const float *x, float *out, int64_t count
) {
    struct job job = {.activation = activation, .gradient = gradient, .x = x, .out = out};
    moult_parallel_for(count, costly_grain, activated_backward_body, &job);
}

BODY(gated_backward_body) {
    JOB(job);
    moult_kernels()->gated_backward(
        job->activation, job->gradient + begin, job->x + begin, job->up + begin, job->out + begin, job->up_out + begin,
        end - begin);
}

void moult_gated_backward(
    enum moult_activation activation, const float *gradient, const float *gate, const float *up, float *gate_out,
    float *up_out, int64_t count
) {
    struct job job = {
        .activation = activation, .gradient = gradient, .x = gate, .up = up, .out = gate_out, .up_out = up_out};
    moult_parallel_for(count, costly_grain, gated_backward_body, &job);
}
