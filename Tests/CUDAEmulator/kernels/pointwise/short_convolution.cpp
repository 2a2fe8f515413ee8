#include "pointwise/short_convolution.cu"

#include "registry.h"

#define REGISTER_CONVOLUTION(...)                    \
    REGISTER_KERNEL(short_convolution<__VA_ARGS__>); \
    REGISTER_KERNEL(short_convolution_backward<__VA_ARGS__>)

#define REGISTER_WIDTH(width)                 \
    REGISTER_CONVOLUTION(width,NoActivation); \
    REGISTER_CONVOLUTION(width,Silu)

REGISTER_WIDTH(1);
REGISTER_WIDTH(2);
REGISTER_WIDTH(3);
REGISTER_WIDTH(4);
REGISTER_CONVOLUTION(4,Gelu);
REGISTER_CONVOLUTION(4,GeluTanh);
REGISTER_WIDTH(5);
REGISTER_WIDTH(16);
