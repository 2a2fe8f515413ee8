#include "mixers/attention/attention_step.cu"

#include "registry.h"

REGISTER_KERNEL(attention_step<16,1,false>);
REGISTER_KERNEL(attention_step_combine<16,1>);
REGISTER_KERNEL(attention_step<16,2,false>);
REGISTER_KERNEL(attention_step<16,2,true>);
REGISTER_KERNEL(attention_step_combine<16,2>);
REGISTER_KERNEL(attention_step<20,3,false>);
REGISTER_KERNEL(attention_step<20,3,true>);
REGISTER_KERNEL(attention_step_combine<20,3>);
// Heads of published models.
REGISTER_KERNEL(attention_step<64,3,false>);
REGISTER_KERNEL(attention_step_combine<64,3>);
REGISTER_KERNEL(attention_step<64,8,false>);
REGISTER_KERNEL(attention_step_combine<64,8>);
REGISTER_KERNEL(attention_step<128,7,false>);
REGISTER_KERNEL(attention_step_combine<128,7>);
REGISTER_KERNEL(attention_step<128,8,false>);
REGISTER_KERNEL(attention_step_combine<128,8>);
REGISTER_KERNEL(attention_step<256,4,false>);
REGISTER_KERNEL(attention_step_combine<256,4>);
// With capped scores.
REGISTER_KERNEL(attention_step<16,2,false,true>);
REGISTER_KERNEL(attention_step<16,2,true,true>);
REGISTER_KERNEL(attention_step<256,2,false,true>);
REGISTER_KERNEL(attention_step_combine<256,2>);
