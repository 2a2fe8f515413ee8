#include "mixers/attention/cache.cu"

#include "registry.h"

REGISTER_KERNEL(cache_write);
REGISTER_KERNEL(cache_read);
