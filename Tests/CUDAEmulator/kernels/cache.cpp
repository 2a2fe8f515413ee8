#include "../../../Sources/CCUDA/kernels/cache.cu"

#include "../registry.h"

REGISTER_KERNEL(cache_read);
REGISTER_KERNEL(cache_write);
