// Root mean square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467) of rows x (R, D):
//
//     y = weight · x · inverse,  inverse = 1 / sqrt(mean(x²) + epsilon)
//
// A block has a thread for every eight columns and takes rows in turn: block = 32 · ceil(D / 256), so D ≤ 8192; any
// grid up to R blocks, such as min(R, 2048).
#include "eight.cuh"

/// Writes the normalised row of which a thread holds eight columns.
__device__ inline void normalise(
    Eight x, const Eight& weight, float epsilon, bf16* out, float* inverse, int columns, bool aligned, int dim) {
    float squares = 0.0f;
    for (int k = 0; k < 8; k++) squares += x[k] * x[k];
    const float scale = 1.0f / sqrtf(block_sum(squares) / dim + epsilon);
    for (int k = 0; k < 8; k++) x[k] *= scale * weight[k];
    store_eight(out, x, columns, aligned);
    if (inverse && threadIdx.x == 0) *inverse = scale;
}

/// out = y; inverse (R) is kept for the backward pass unless it is null.
__global__ void __launch_bounds__(1024) rms_norm(
    const bf16* x, const float* weight, float epsilon, bf16* out, float* inverse, int32_t rows, int32_t dim) {
    const int column = threadIdx.x * 8, columns = dim - column;
    const bool aligned = dim % 8 == 0;
    const Eight w = load_eight(weight + column, columns, aligned);
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const int64_t at = row * dim + column;
        const Eight value = load_eight(x + at, columns, aligned);
        normalise(value, w, epsilon, out + at, inverse ? inverse + row : nullptr, columns, aligned, dim);
    }
}

/// The gradient of x from that of y, with the inverse that the forward pass kept:
///
///     out = inverse · (weight · gradient - x · inverse² · mean(weight · gradient · x)) + more
///
/// `more`, unless it is null, is what reaches x past the norm; `out` may take its place. Block b leaves its rows'
/// part of the weight's gradient, Σ gradient · x · inverse, in row b of parts (grid, D), for add_column_sums: the
/// grid decides the order of the sum.
__global__ void __launch_bounds__(1024) rms_norm_backward(
    const bf16* gradient, const bf16* x, const float* weight, const float* inverse, const bf16* more, bf16* out,
    float* parts, int32_t rows, int32_t dim) {
    const int column = threadIdx.x * 8, columns = dim - column;
    const bool aligned = dim % 8 == 0;
    const Eight w = load_eight(weight + column, columns, aligned);
    Eight weight_gradient = {};
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const int64_t at = row * dim + column;
        Eight dy = load_eight(gradient + at, columns, aligned);
        const Eight value = load_eight(x + at, columns, aligned);
        const Eight past = more ? load_eight(more + at, columns, aligned) : Eight{};
        const float scale = inverse[row];
        float product = 0.0f;
        for (int k = 0; k < 8; k++) {
            weight_gradient[k] += dy[k] * value[k] * scale;
            dy[k] *= w[k];
            product += dy[k] * value[k];
        }
        const float pull = scale * scale * block_sum(product) / dim;
        for (int k = 0; k < 8; k++) dy[k] = scale * (dy[k] - value[k] * pull) + past[k];
        store_eight(out + at, dy, columns, aligned);
    }
    store_eight(parts + static_cast<int64_t>(blockIdx.x) * dim + column, weight_gradient, columns, aligned);
}
