#include "mixers/recurrence/recurrence_backward.cu"

#include "registry.h"

#define REGISTER_RULE(K, V, G, C, D, T)                       \
    REGISTER_KERNEL(recurrence_value_gradients<K,V,G,C,D>);    \
    REGISTER_KERNEL(recurrence_reader_gradients<K,V,G,C,D,T>); \
    REGISTER_KERNEL(recurrence_key_gradients<K,V,G,C,D,T>)
#define REGISTER_SHAPE(K, V, G)                   \
    REGISTER_RULE(K, V, G, false, false, bf16);   \
    REGISTER_RULE(K, V, G, false, true, float);   \
    REGISTER_RULE(K, V, G, true, false, bf16);    \
    REGISTER_RULE(K, V, G, true, true, float)

REGISTER_SHAPE(16, 16, 2);
REGISTER_SHAPE(12, 20, 3);
REGISTER_SHAPE(64, 64, 1);
REGISTER_SHAPE(128, 256, 1);
