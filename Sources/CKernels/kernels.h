#ifndef MOULT_KERNELS_H
#define MOULT_KERNELS_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/// The single-threaded kernels of one instruction set. Each is written once, in a *.inc file, over the vector type of
/// vector.h; kernels_<set>.c compiles all of them for one set and fills one table. The functions that Swift calls
/// (include/moult_*.h) share the work over the pool and call the table of the chosen set.
struct moult_kernels {
    const char *name;
    int width;  // floats in a vector

    // elementwise.inc
    void (*add)(const float *x, const float *y, float *out, int64_t count);
};

/// The chosen set.
const struct moult_kernels *moult_kernels(void);

#endif
