#pragma once
#include "CCUDA.h"

/// cuBLASLt on one card.
struct moult_cuda_products;

/// Sets it up for the context of the calling thread; `stream` is where products run, and `workspace` their memory.
int moult_cuda_products_open(
    void* stream, uint64_t workspace, size_t workspace_bytes, struct moult_cuda_products** result);
int moult_cuda_multiply(struct moult_cuda_products* products, const struct moult_cuda_product* product);
