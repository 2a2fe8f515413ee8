#include "mixers/attention/attention.cu"

#include "registry.h"

// Heads up to 128 wide, without a window or with a wide one, and with a narrow one.
REGISTER_KERNEL(attention_forward<16,1,2,64,false>);
REGISTER_KERNEL(attention_forward<16,1,1,32,false>);
REGISTER_KERNEL(attention_forward<16,2,2,64,false>);
REGISTER_KERNEL(attention_forward<16,2,1,32,false>);
REGISTER_KERNEL(attention_forward<20,3,2,64,false>);
REGISTER_KERNEL(attention_forward<20,3,1,32,false>);
REGISTER_KERNEL(attention_forward<80,1,2,64,false>);
// Wider ones.
REGISTER_KERNEL(attention_forward<136,2,1,32,false>);
// Heads of published models.
REGISTER_KERNEL(attention_forward<64,3,2,64,false>);
REGISTER_KERNEL(attention_forward<64,8,2,64,false>);
REGISTER_KERNEL(attention_forward<128,7,2,64,false>);
REGISTER_KERNEL(attention_forward<128,8,2,64,false>);
REGISTER_KERNEL(attention_forward<256,4,1,32,false>);
// With sinks.
REGISTER_KERNEL(attention_forward<16,1,1,32,true>);
REGISTER_KERNEL(attention_forward<16,2,1,32,true>);
REGISTER_KERNEL(attention_forward<20,3,1,32,true>);
REGISTER_KERNEL(attention_forward<20,3,2,64,true>);
REGISTER_KERNEL(attention_forward<64,3,1,32,true>);
REGISTER_KERNEL(attention_forward<128,7,1,32,true>);
REGISTER_KERNEL(attention_forward<136,2,1,32,true>);
// With capped scores.
REGISTER_KERNEL(attention_forward<16,2,2,64,false,true>);
REGISTER_KERNEL(attention_forward<16,2,1,32,false,true>);
REGISTER_KERNEL(attention_forward<16,2,1,32,true,true>);
REGISTER_KERNEL(attention_forward<20,3,2,64,false,true>);
REGISTER_KERNEL(attention_forward<256,2,1,32,false,true>);
