#include "mixers/carried.cu"

#include "registry.h"

REGISTER_KERNEL(carried_starts);
REGISTER_KERNEL(carried_rows);
REGISTER_KERNEL(carried_states);
