#include "mixers/attention/attention_backward.cu"

#include "registry.h"

#define REGISTER_BOTH(...)                               \
    REGISTER_KERNEL(attention_query_gradient<__VA_ARGS__>); \
    REGISTER_KERNEL(attention_key_gradients<__VA_ARGS__>)

// Heads up to 64 wide, without a window or with a wide one, and with a narrow one.
REGISTER_BOTH(16,1,2,false);
REGISTER_BOTH(16,1,1,false);
REGISTER_BOTH(16,2,2,false);
REGISTER_BOTH(16,2,1,false);
REGISTER_BOTH(20,3,2,false);
REGISTER_BOTH(20,3,1,false);
// Wider ones.
REGISTER_BOTH(80,1,1,false);
REGISTER_BOTH(136,2,1,false);
// Heads of published models.
REGISTER_BOTH(64,3,2,false);
REGISTER_BOTH(64,8,2,false);
REGISTER_BOTH(128,7,1,false);
REGISTER_BOTH(128,8,1,false);
REGISTER_BOTH(256,4,1,false);
// With sinks.
#define REGISTER_FOUR(dim, group, tiles)                 \
    REGISTER_BOTH(dim,group,tiles,true);                  \
    REGISTER_KERNEL(attention_sink_gradients<dim,group>); \
    REGISTER_KERNEL(attention_sink_sums<dim>)

REGISTER_FOUR(16,1,1);
REGISTER_FOUR(16,2,1);
REGISTER_FOUR(20,3,1);
REGISTER_BOTH(20,3,2,true);
REGISTER_FOUR(64,3,1);
REGISTER_FOUR(128,7,1);
REGISTER_FOUR(136,2,1);
// With capped scores.
REGISTER_BOTH(16,2,2,false,true);
REGISTER_BOTH(16,2,1,false,true);
REGISTER_BOTH(16,2,1,true,true);
REGISTER_KERNEL(attention_sink_gradients<16,2,true>);
REGISTER_BOTH(20,3,2,false,true);
REGISTER_BOTH(256,2,1,false,true);
