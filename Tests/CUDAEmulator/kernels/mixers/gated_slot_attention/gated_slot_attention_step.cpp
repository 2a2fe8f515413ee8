#include "mixers/gated_slot_attention/gated_slot_attention_step.cu"

#include "registry.h"

#define REGISTER_STEP(...)                        \
    REGISTER_KERNEL(gsa_step<__VA_ARGS__,float>); \
    REGISTER_KERNEL(gsa_step<__VA_ARGS__,bf16>)

REGISTER_STEP(16,16,4,2);
REGISTER_STEP(16,32,20,3);
REGISTER_STEP(128,128,64,2);
// Heads of published models.
REGISTER_STEP(64,64,64,3);
REGISTER_STEP(64,64,64,8);
REGISTER_STEP(128,128,64,7);
REGISTER_STEP(128,128,64,8);
REGISTER_STEP(256,256,64,4);
