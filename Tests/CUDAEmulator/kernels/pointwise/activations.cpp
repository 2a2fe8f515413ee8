#include "pointwise/activations.cu"

#include "registry.h"

#define REGISTER_ACTIVATION(activation)              \
    REGISTER_KERNEL(activated<activation>);          \
    REGISTER_KERNEL(activated_backward<activation>); \
    REGISTER_KERNEL(gated<activation>);              \
    REGISTER_KERNEL(gated_backward<activation>)

REGISTER_ACTIVATION(Silu);
REGISTER_ACTIVATION(Gelu);
REGISTER_ACTIVATION(GeluTanh);
REGISTER_KERNEL(log_gate<bf16>);
REGISTER_KERNEL(log_gate_backward<bf16>);
