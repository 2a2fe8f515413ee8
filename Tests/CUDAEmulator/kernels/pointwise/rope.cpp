#include "pointwise/rope.cu"

#include "registry.h"

REGISTER_KERNEL(rope);
REGISTER_KERNEL(rotary_angles);
