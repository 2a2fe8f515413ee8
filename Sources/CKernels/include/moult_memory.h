#ifndef MOULT_MEMORY_H
#define MOULT_MEMORY_H

#include <stdint.h>

/// Reads `bytes` bytes, a multiple of 4096, once with all threads and does nothing else: what the memory gives. Returns
/// the bytes' sum in words, so that the reading is not left out.
uint64_t moult_read_memory(const void *memory, int64_t bytes);

#endif
