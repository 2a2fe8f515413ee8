#include "pointwise/sums.cu"

#include "registry.h"

REGISTER_KERNEL(fold<float>);
REGISTER_KERNEL(fold<bf16>);
