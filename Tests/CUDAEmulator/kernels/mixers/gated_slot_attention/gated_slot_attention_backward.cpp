#include "mixers/gated_slot_attention/gated_slot_attention_backward.cu"

#include "registry.h"

#define REGISTER_SHAPE(K, V, M, C, together)                           \
    REGISTER_KERNEL(gsa_chunk_gradients<K,V,M,C,together,false>);      \
    REGISTER_KERNEL(gsa_end_gradients<K,V,M,C>)

REGISTER_KERNEL(gsa_chunk_gradients<16,16,4,64,1,false>);
REGISTER_SHAPE(16, 16, 4, 64, 2);
REGISTER_SHAPE(16, 32, 20, 64, 3);
REGISTER_SHAPE(128, 128, 64, 64, 2);
// The second half of a group of four heads.
REGISTER_KERNEL(gsa_chunk_gradients<128,128,64,64,2,true>);
REGISTER_SHAPE(256, 256, 64, 32, 1);
REGISTER_SHAPE(256, 256, 128, 16, 1);
// Heads of published models.
REGISTER_SHAPE(64, 64, 64, 64, 3);
REGISTER_KERNEL(gsa_chunk_gradients<64,64,64,64,4,false>);
REGISTER_KERNEL(gsa_chunk_gradients<64,64,64,64,4,true>);
REGISTER_KERNEL(gsa_chunk_gradients<128,128,64,64,1,false>);
REGISTER_KERNEL(gsa_chunk_gradients<128,128,64,64,1,true>);
REGISTER_KERNEL(gsa_chunk_gradients<256,256,64,32,2,false>);
REGISTER_KERNEL(gsa_chunk_gradients<256,256,64,32,2,true>);
