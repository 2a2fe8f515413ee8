#include "include/moult_optimiser.h"

#include "foundation/body.h"

BODY(adam_w_body) {
    JOB(moult_adam_w);
    moult_kernels()->adam_w(job, begin, end);
}

void moult_adam_w(const struct moult_adam_w *step) {
    moult_parallel_for(step->count, costly_grain, adam_w_body, (void *)step);
}
