#ifndef MOULT_DISPATCH_H
#define MOULT_DISPATCH_H

#include <stdbool.h>

/// The instruction set in use: "baseline", "avx2", "avx512", "avx512vnni" or "neon".
const char *moult_kernels_name(void);

/// The instruction set at `index` among those this processor can run, slowest first; NULL past the last.
const char *moult_kernels_available(int index);

/// Switches to a set by name, or back to the best (MOULT_CPU respected) with NULL. Not while kernels run.
/// Returns false, changing nothing, when this processor cannot run it.
bool moult_select_kernels(const char *name);

#endif
