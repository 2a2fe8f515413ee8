#include "pointwise/activations.cu"

#include "registry.h"

REGISTER_KERNEL(silu);
REGISTER_KERNEL(silu_backward);
REGISTER_KERNEL(swiglu);
REGISTER_KERNEL(swiglu_backward);
REGISTER_KERNEL(log_gate<bf16>);
REGISTER_KERNEL(log_gate_backward<bf16>);
