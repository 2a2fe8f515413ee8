#ifndef MOULT_NUMBERS_H
#define MOULT_NUMBERS_H

#include <stdint.h>

#include "include/moult_types.h"

static inline int64_t size_of(enum moult_type type) { return type == moult_float32 ? 4 : 2; }

static inline int64_t divide_up(int64_t count, int64_t size) { return (count + size - 1) / size; }

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

#endif
