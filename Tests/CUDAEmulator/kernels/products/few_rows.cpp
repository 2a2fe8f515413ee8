#include "products/few_rows.cu"

#include "registry.h"

#define REGISTER_FEW_ROWS(most)                          \
    REGISTER_KERNEL(few_rows<most,false>);               \
    REGISTER_KERNEL(few_rows<most,true>);                \
    REGISTER_KERNEL(few_rows_gated<most,false,Silu>);    \
    REGISTER_KERNEL(few_rows_gated<most,true,Silu>);     \
    REGISTER_KERNEL(few_rows_gated<most,false,Gelu>);    \
    REGISTER_KERNEL(few_rows_gated<most,true,Gelu>);     \
    REGISTER_KERNEL(few_rows_gated<most,false,GeluTanh>); \
    REGISTER_KERNEL(few_rows_gated<most,true,GeluTanh>)

REGISTER_FEW_ROWS(1);
REGISTER_FEW_ROWS(2);
REGISTER_FEW_ROWS(4);
