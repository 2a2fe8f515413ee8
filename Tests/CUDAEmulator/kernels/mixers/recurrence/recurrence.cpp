#include "mixers/recurrence/recurrence.cu"

#include "registry.h"

#define REGISTER_SHAPE(K, V, G)                             \
    REGISTER_KERNEL(recurrence_outputs<K,V,G,false,false>); \
    REGISTER_KERNEL(recurrence_outputs<K,V,G,false,true>);  \
    REGISTER_KERNEL(recurrence_outputs<K,V,G,true,false>);  \
    REGISTER_KERNEL(recurrence_outputs<K,V,G,true,true>)

REGISTER_SHAPE(16, 16, 2);
REGISTER_SHAPE(12, 20, 3);
REGISTER_SHAPE(64, 64, 1);
REGISTER_SHAPE(128, 256, 1);
