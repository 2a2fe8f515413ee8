#include "../../../Sources/CCUDA/kernels/attention_step.cu"

#include "../registry.h"

REGISTER_KERNEL(attention_step<16,2>);
REGISTER_KERNEL(attention_step_combine<16,2>);
