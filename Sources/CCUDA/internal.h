#pragma once
#include "CCUDA.h"

/// Keeps a formatted reason for moult_cuda.error() and returns 1.
int moult_cuda_fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// The names of kernels/ and their texts, ended by a null name.
struct moult_cuda_file { const char* name; const char* text; };
extern const struct moult_cuda_file moult_cuda_files[];

/// A library of the installed driver or toolkit: the first of `names` (ended by null) that loads.
void* moult_cuda_library(const char* const* names);

/// The machine code of `expression` in `source` for compute capability `major`.`minor`, from the cache on disk or compiled:
/// `image` (to be freed) and the symbol's name.
int moult_cuda_compile(
    const char* source, const char* expression, int major, int minor, void** image, char symbol[512]);

/// Sets up cuBLASLt; `stream` is where products run.
int moult_cuda_products_open(void* stream, uint64_t workspace, size_t workspace_bytes);
int moult_cuda_multiply(const struct moult_cuda_product* product);
