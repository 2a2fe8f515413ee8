#include "mixers/recurrence/chunks_backward.cu"

#include "registry.h"

#define REGISTER_RULE(K, V, C, channels, delta)                               \
    REGISTER_KERNEL(recurrence_reader_gradients<K,V,C,channels,delta>);       \
    REGISTER_KERNEL(recurrence_writer_gradients<K,V,C,channels,delta>)
#define REGISTER_SHAPE(K, V, C)                                               \
    REGISTER_KERNEL(recurrence_read_gradients<K,V,C,false>);                  \
    REGISTER_KERNEL(recurrence_read_gradients<K,V,C,true>);                   \
    REGISTER_RULE(K, V, C, false, false);                                     \
    REGISTER_RULE(K, V, C, false, true);                                      \
    REGISTER_RULE(K, V, C, true, false);                                      \
    REGISTER_RULE(K, V, C, true, true)

REGISTER_SHAPE(16, 16, 64);
REGISTER_SHAPE(16, 32, 64);
REGISTER_SHAPE(32, 48, 64);
REGISTER_SHAPE(64, 64, 64);
REGISTER_SHAPE(128, 128, 64);
