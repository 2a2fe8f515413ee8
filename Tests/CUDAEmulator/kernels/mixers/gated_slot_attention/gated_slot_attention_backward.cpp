#include "mixers/gated_slot_attention/gated_slot_attention_read_gradients.cu"
#include "mixers/gated_slot_attention/gated_slot_attention_write_gradients.cu"

#include "registry.h"

#define REGISTER_SHAPE(K, V, M, C, lone)                    \
    REGISTER_KERNEL(gsa_read_gradients<K,V,M,C,lone>);      \
    REGISTER_KERNEL(gsa_write_gradients<K,V,M,C>)

REGISTER_KERNEL(gsa_read_gradients<16,16,4,64,true>);
REGISTER_SHAPE(16, 16, 4, 64, false);
REGISTER_SHAPE(16, 32, 20, 64, false);
REGISTER_SHAPE(256, 256, 64, 64, true);
// A group, whose tiles take more.
REGISTER_SHAPE(256, 256, 64, 32, false);
REGISTER_SHAPE(256, 256, 128, 32, true);
REGISTER_SHAPE(256, 256, 128, 16, false);
// Heads of published models.
REGISTER_KERNEL(gsa_read_gradients<64,64,64,64,true>);
REGISTER_SHAPE(64, 64, 64, 64, false);
REGISTER_KERNEL(gsa_read_gradients<128,128,64,64,true>);
REGISTER_SHAPE(128, 128, 64, 64, false);
