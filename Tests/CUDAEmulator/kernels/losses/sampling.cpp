#include "losses/sampling.cu"

#include "registry.h"

REGISTER_KERNEL(argmax<float>);
REGISTER_KERNEL(advance);
REGISTER_KERNEL(pick_tokens);
