#include "pointwise/rope.cu"

#include "registry.h"

REGISTER_KERNEL(rope);
