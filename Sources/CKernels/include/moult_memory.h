#ifndef MOULT_MEMORY_H
#define MOULT_MEMORY_H

#include <stdint.h>

struct moult_region {
    const void *memory;
    int64_t bytes;
};

/// Bytes that are read at a time; what a region has beyond whole ones is left out.
enum { moult_page_bytes = 4096 };

/// Reads all regions once with all threads and does nothing else: what the memory gives. Returns the bytes' sum in words, so
/// that the reading is not left out.
uint64_t moult_read_memory(const struct moult_region *regions, int64_t count);

#endif
