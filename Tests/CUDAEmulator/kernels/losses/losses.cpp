#include "losses/losses.cu"

#include "registry.h"

#define REGISTER_LOSSES(has_cap)                       \
    REGISTER_KERNEL(negative_log_likelihood<has_cap>); \
    REGISTER_KERNEL(cross_entropy<has_cap>);           \
    REGISTER_KERNEL(divergence<has_cap>)

REGISTER_LOSSES(false);
REGISTER_LOSSES(true);
REGISTER_KERNEL(sum_values);
