#include "pointwise/columns.cu"

#include "registry.h"

REGISTER_KERNEL(column_parts<bf16>);
REGISTER_KERNEL(add_column_sums);
