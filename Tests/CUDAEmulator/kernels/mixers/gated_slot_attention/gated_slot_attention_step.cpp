#include "mixers/gated_slot_attention/gated_slot_attention_step.cu"

#include "registry.h"

REGISTER_KERNEL(gsa_step<16,16,4,2>);
REGISTER_KERNEL(gsa_step<16,32,20,3>);
REGISTER_KERNEL(gsa_step<128,128,64,2>);
// Heads of published models.
REGISTER_KERNEL(gsa_step<64,64,64,3>);
REGISTER_KERNEL(gsa_step<64,64,64,8>);
REGISTER_KERNEL(gsa_step<128,128,64,7>);
REGISTER_KERNEL(gsa_step<128,128,64,8>);
REGISTER_KERNEL(gsa_step<256,256,64,4>);
