#include "products/sort.cu"

#include "registry.h"

REGISTER_KERNEL(sort_ids);
