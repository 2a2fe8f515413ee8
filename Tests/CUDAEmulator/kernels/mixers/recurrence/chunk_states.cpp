#include "mixers/recurrence/chunk_states.cu"

#include "registry.h"

#define REGISTER_RULE(K, V, slice, C, channels, delta)                    \
    REGISTER_KERNEL(recurrence_scan<K,V,slice,C,channels,delta,false,3>); \
    REGISTER_KERNEL(recurrence_scan<K,V,slice,C,channels,delta,true,3>)
#define REGISTER_SHAPE(K, V, C)               \
    REGISTER_RULE(K, V, 16, C, false, false); \
    REGISTER_RULE(K, V, 16, C, false, true);  \
    REGISTER_RULE(K, V, 16, C, true, false);       \
    REGISTER_RULE(K, V, 16, C, true, true)

REGISTER_SHAPE(16, 16, 64);
REGISTER_SHAPE(16, 32, 64);
REGISTER_SHAPE(32, 48, 64);
REGISTER_SHAPE(64, 64, 64);
REGISTER_SHAPE(128, 128, 64);
