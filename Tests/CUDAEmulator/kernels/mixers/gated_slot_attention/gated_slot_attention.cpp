#include "mixers/gated_slot_attention/gated_slot_attention.cu"

#include "registry.h"

#define REGISTER_SHAPE(K, V, M, C)                   \
    REGISTER_KERNEL(gsa_chunk_writes<K,V,M,C>);      \
    REGISTER_KERNEL(gsa_scan_states<K,V,M,false>);   \
    REGISTER_KERNEL(gsa_scan_states<K,V,M,true>);    \
    REGISTER_KERNEL(gsa_outputs<K,V,M,C>)

REGISTER_SHAPE(16, 16, 4, 64);
REGISTER_SHAPE(16, 32, 20, 64);
REGISTER_SHAPE(128, 128, 64, 64);
REGISTER_SHAPE(256, 256, 64, 64);
REGISTER_SHAPE(256, 256, 64, 32);
REGISTER_SHAPE(256, 256, 128, 32);
REGISTER_SHAPE(256, 256, 128, 16);
// Heads of published models.
REGISTER_SHAPE(64, 64, 64, 64);
