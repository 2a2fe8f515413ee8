#include "mixers/recurrence/chunks.cu"

#include "registry.h"

#define REGISTER_DECAYS(K, V, C, channels)                           \
    REGISTER_KERNEL(recurrence_solve<K,V,C,channels>);               \
    REGISTER_KERNEL(recurrence_chunk_outputs<K,V,C,channels,false>); \
    REGISTER_KERNEL(recurrence_chunk_outputs<K,V,C,channels,true>)
#define REGISTER_SHAPE(K, V, C)              \
    REGISTER_KERNEL(recurrence_decays<K,C>); \
    REGISTER_DECAYS(K, V, C, false);         \
    REGISTER_DECAYS(K, V, C, true)

REGISTER_KERNEL(recurrence_sums<64>);
REGISTER_SHAPE(16, 16, 64);
REGISTER_SHAPE(16, 32, 64);
REGISTER_SHAPE(32, 48, 64);
REGISTER_SHAPE(64, 64, 64);
REGISTER_SHAPE(128, 128, 64);
