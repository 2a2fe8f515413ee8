#include "mixers/heads.cu"

#include "registry.h"

REGISTER_KERNEL(pick_heads);
REGISTER_KERNEL(join_heads);
