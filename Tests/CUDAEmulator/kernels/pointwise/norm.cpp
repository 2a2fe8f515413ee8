#include "pointwise/norm.cu"

#include "registry.h"

#define REGISTER_NORM(...)             \
    REGISTER_KERNEL(normalise<__VA_ARGS__>); \
    REGISTER_KERNEL(normalise_backward<__VA_ARGS__>)

REGISTER_NORM(false,false);
REGISTER_NORM(false,true);
REGISTER_NORM(true,false);
REGISTER_NORM(true,true);
