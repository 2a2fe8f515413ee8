#ifndef MOULT_KERNELS_H
#define MOULT_KERNELS_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "include/moult_elementwise.h"
#include "include/moult_grouped.h"
#include "include/moult_optimiser.h"
#include "include/moult_pointwise.h"
#include "include/moult_quantise.h"
#include "include/moult_general_delta.h"
#include "include/moult_recurrence.h"
#include "mixers/attention/ranges.h"
#include "mixers/gated_slot_attention/chunk.h"
#include "products/operands.h"

/// The single-threaded kernels of one instruction set. Each is written once, in a *.inc file of its room, over the vectors of
/// foundation/vector.h, and listed once, in the room's table.h; <set>.c compiles all of them for one set and fills one table.
/// The functions that Swift calls (include/moult_*.h) share the work over the pool and call the table of the chosen set.
struct moult_kernels {
    const char *name;
    int width;  // floats in a vector
#define KERNEL(name, result, parameters) result (*name) parameters;
#include "instruction_sets/tables.h"
#undef KERNEL
};

/// The chosen set.
const struct moult_kernels *moult_kernels(void);

#endif
