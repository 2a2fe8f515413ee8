#include "optimiser/optimiser.cu"

#include "registry.h"

REGISTER_KERNEL(gradient_squares);
REGISTER_KERNEL(gradient_sum);
REGISTER_KERNEL(gradient_norm);
REGISTER_KERNEL(adam_w);
