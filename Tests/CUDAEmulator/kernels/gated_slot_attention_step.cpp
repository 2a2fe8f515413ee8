#include "../../../Sources/CCUDA/kernels/gated_slot_attention_step.cu"

#include "../registry.h"

REGISTER_KERNEL(gsa_step<16,16,4,2>);
