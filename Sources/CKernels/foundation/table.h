// The kernels of memory and number types: KERNEL(name, result, parameters) for each, read by instruction_sets.

KERNEL(widen, void, (const void *x, enum moult_type type, float *out, int64_t count))
KERNEL(narrow, void, (const float *x, enum moult_type type, uint16_t *out, int64_t count))

/// The sum of the words of 4096 bytes, read as fast as can be.
KERNEL(read_page, uint64_t, (const char *page))
