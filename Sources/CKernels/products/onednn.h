#ifndef MOULT_ONEDNN_SHIM_H
#define MOULT_ONEDNN_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#include "include/moult_onednn.h"
#include "instruction_sets/kernels.h"

/// Computes `x`, less its bias, on the calling thread alone: the pool shares the tiles, so that OpenMP's threads are
/// never started and never compete with the pool's. Takes float32 by float32, and bfloat16 by bfloat16 with float32 sums.
/// False when oneDNN is not in use, does not take the types, or refuses; `out` is then as it was.
bool onednn_product(const struct moult_dense *x);

#endif
