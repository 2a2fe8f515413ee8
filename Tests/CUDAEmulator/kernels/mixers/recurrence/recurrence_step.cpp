#include "mixers/recurrence/recurrence_step.cu"

#include "registry.h"

#define REGISTER_SHAPE(K, V, G)                          \
    REGISTER_KERNEL(recurrence_step<K,V,G,false,false>); \
    REGISTER_KERNEL(recurrence_step<K,V,G,false,true>);  \
    REGISTER_KERNEL(recurrence_step<K,V,G,true,false>);  \
    REGISTER_KERNEL(recurrence_step<K,V,G,true,true>)

REGISTER_SHAPE(16, 16, 1);
REGISTER_SHAPE(16, 16, 2);
REGISTER_SHAPE(16, 32, 1);
REGISTER_SHAPE(32, 48, 3);
REGISTER_SHAPE(64, 64, 1);
REGISTER_SHAPE(128, 128, 1);
