#ifndef MOULT_OPTIMISER_H
#define MOULT_OPTIMISER_H

#include <stdint.h>

/// One step of AdamW over `count` elements; the corrections are 1 - betaˢᵗᵉᵖ.
struct moult_adam_w {
    int64_t count;
    float *parameter, *first, *second;
    const float *gradient;
    uint16_t *copy;  // of the parameter, in bfloat16; or NULL
    float learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, first_correction, second_correction;
};

void moult_adam_w(const struct moult_adam_w *step);

#endif
