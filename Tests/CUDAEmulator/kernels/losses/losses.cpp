#include "losses/losses.cu"

#include "registry.h"

REGISTER_KERNEL(negative_log_likelihood);
REGISTER_KERNEL(cross_entropy);
REGISTER_KERNEL(divergence);
REGISTER_KERNEL(sum_values);
