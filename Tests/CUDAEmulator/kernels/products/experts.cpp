#include "products/experts.cu"

#include "registry.h"

REGISTER_KERNEL(route);
REGISTER_KERNEL(route_backward);
REGISTER_KERNEL(scale_rows);
REGISTER_KERNEL(add_rows);
REGISTER_KERNEL(row_products);
