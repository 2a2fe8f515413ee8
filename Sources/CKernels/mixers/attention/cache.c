#include "include/moult_cache.h"

#include <math.h>
#include <string.h>

/// The scale whose 127-fold is `most`, as nearly as both can be had back from each other.
static float scale_of(float most) {
    float scale = most / 127;
    for (int i = 0; i < 4; i++) {
        const float again = 127 * scale / 127;
        if (again == scale) break;
        scale = again;
    }
    return scale;
}

void moult_round_codes(const float *x, int64_t rows, int64_t dim, int8_t *codes, float *scales) {
    for (int64_t row = 0; row < rows; row++, x += dim, codes += dim) {
        float most = 0;
        for (int64_t i = 0; i < dim; i++) {
            const float size = fabsf(x[i]);
            if (!(size <= most) && most == most) most = size;
        }
        // Of a row with NaN or infinity nothing is kept but that.
        if (!isfinite(most)) {
            memset(codes, 1, (size_t)dim);
            scales[row] = most;
            continue;
        }
        // Below the limit 1 / scale could overflow.
        scales[row] = most > 1e-30f ? scale_of(most) : 0;
        const float inverse = most > 1e-30f ? 1 / scales[row] : 0;
        for (int64_t i = 0; i < dim; i++) {
            const float code = rintf(x[i] * inverse);
            codes[i] = (int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
        }
    }
}

void moult_widen_codes(const int8_t *codes, const float *scales, int64_t rows, int64_t dim, float *out) {
    for (int64_t i = 0; i < rows * dim; i++) out[i] = scales[i / dim] * (float)codes[i];
}
