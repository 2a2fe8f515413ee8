#include "products/few_rows.cu"

#include "registry.h"

REGISTER_KERNEL(few_rows<1>);
REGISTER_KERNEL(few_rows<2>);
REGISTER_KERNEL(few_rows<4>);
