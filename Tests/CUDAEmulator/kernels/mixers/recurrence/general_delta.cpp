#include "mixers/recurrence/general_delta.cu"

#include "registry.h"

#define REGISTER_SHAPE(K, V, G)                                      \
    REGISTER_KERNEL(general_delta_outputs<K,V,G>);                   \
    REGISTER_KERNEL(general_delta_value_gradients<K,V,G>);           \
    REGISTER_KERNEL(general_delta_reader_gradients<K,V,G>);          \
    REGISTER_KERNEL(general_delta_key_gradients<K,V,G>)

REGISTER_SHAPE(16, 16, 2);
REGISTER_SHAPE(32, 48, 3);
REGISTER_SHAPE(64, 64, 1);
REGISTER_SHAPE(128, 128, 1);
