#pragma once
#include "CCUDA.h"

/// Sets up cuBLASLt; `stream` is where products run.
int moult_cuda_products_open(void* stream, uint64_t workspace, size_t workspace_bytes);
int moult_cuda_multiply(const struct moult_cuda_product* product);
