#include "losses/squared_error.cu"

#include "registry.h"

REGISTER_KERNEL(squared_error_parts);
REGISTER_KERNEL(squared_error_loss);
REGISTER_KERNEL(squared_error_gradient);
