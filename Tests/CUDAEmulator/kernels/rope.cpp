#include "../../../Sources/CCUDA/kernels/rope.cu"

#include "../registry.h"

REGISTER_KERNEL(rope);
