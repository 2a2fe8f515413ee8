#include "pointwise/norm.cu"

#include "registry.h"

REGISTER_KERNEL(rms_norm);
REGISTER_KERNEL(rms_norm_backward);
