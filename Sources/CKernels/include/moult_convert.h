#ifndef MOULT_CONVERT_H
#define MOULT_CONVERT_H

#include <stdint.h>

#include "moult_types.h"

/// Rounds or widens between float32, bfloat16 and float16.
void moult_convert(const void *from, enum moult_type from_type, void *to, enum moult_type to_type, int64_t count);

#endif
