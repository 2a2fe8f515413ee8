#include "pointwise/elementwise.cu"

#include "registry.h"

REGISTER_KERNEL(add);
REGISTER_KERNEL(scale);
REGISTER_KERNEL(cap_values);
REGISTER_KERNEL(scale_add<bf16>);
REGISTER_KERNEL(scale_add<float>);
REGISTER_KERNEL(cast<float,bf16>);
REGISTER_KERNEL(copy_columns);
