#include "pointwise/mix.cu"

#include "registry.h"

REGISTER_KERNEL(mix);
REGISTER_KERNEL(mix_backward);
