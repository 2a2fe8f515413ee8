#include "pointwise/norm.cu"

#include "registry.h"

#define REGISTER_NORM(...)             \
    REGISTER_KERNEL(normalise<__VA_ARGS__>); \
    REGISTER_KERNEL(normalise_backward<__VA_ARGS__>)

REGISTER_NORM(false,false);
REGISTER_NORM(false,true);
REGISTER_NORM(true,false);
REGISTER_NORM(true,true);
REGISTER_KERNEL(l2_normalise<false>);
REGISTER_KERNEL(l2_normalise<true>);
REGISTER_KERNEL(l2_normalise_backward<false>);
REGISTER_KERNEL(l2_normalise_backward<true>);
