// Normalisation of rows x (R, D): y = weight · n + bias with
//
//     n = x · inverse,            inverse = 1 / sqrt(mean(x²) + epsilon)              (Zhang and Sennrich 2019, arXiv 1910.07467)
//     n = (x - mean) · inverse,   inverse = 1 / sqrt(mean((x - mean)²) + epsilon)     where `centred` (Ba et al. 2016,
//                                                                                      arXiv 1607.06450)
//
// A thread has eight columns of a row, and rows are taken in turn. Rows of more than 256 columns have a block each: block
// 32 · ceil(D / 256), so D ≤ 8192; any grid up to R blocks, such as min(R, 2048). `narrow` ones share a block: block
// (lanes, 256 / lanes), lanes the least power of two from ceil(D / 8) up, and any grid up to ceil(R / (256 / lanes)).
#include "eight.cuh"

/// The sum over the threads of a row, in each of them; all threads of a block must call it.
template <bool narrow> __device__ inline float row_sum(float x) {
    if constexpr (narrow) {
        for (int mask = blockDim.x / 2; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
        return x;
    } else {
        return block_sum(x);
    }
}

/// out = y. `saved`, kept for the backward pass unless it is null, receives the inverses (R) and, where centred, then the
/// means (R). `bias` may be null.
template <bool centred, bool narrow> __global__ void __launch_bounds__(1024) normalise(
    const bf16* x, const float* weight, const float* bias, float epsilon, bf16* out, float* saved, int32_t rows,
    int32_t dim) {
    const int column = threadIdx.x * 8, columns = dim - column;
    const bool aligned = dim % 8 == 0;
    const Eight w = load_eight(weight + column, columns, aligned);
    const Eight shift = centred && bias ? load_eight(bias + column, columns, aligned) : Eight{};
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y; first < rows; first += step) {
        const int64_t row = first + threadIdx.y, at = row * dim + column;
        const int own = row < rows ? columns : 0;
        Eight value = load_eight(x + at, own, aligned);
        float mean = 0.0f;
        if constexpr (centred) {
            for (int k = 0; k < 8; k++) mean += value[k];
            mean = row_sum<narrow>(mean) / dim;
            for (int k = 0; k < 8; k++) value[k] = k < own ? value[k] - mean : 0.0f;
        }
        float squares = 0.0f;
        for (int k = 0; k < 8; k++) squares += value[k] * value[k];
        const float scale = 1.0f / sqrtf(row_sum<narrow>(squares) / dim + epsilon);
        for (int k = 0; k < 8; k++) {
            value[k] *= scale * w[k];
            if constexpr (centred) value[k] += shift[k];
        }
        store_eight(out + at, value, own, aligned);
        if (saved && threadIdx.x == 0 && row < rows) {
            saved[row] = scale;
            if constexpr (centred) saved[rows + row] = mean;
        }
    }
}

/// The gradient of x from that of y, with what the forward pass saved:
///
///     out = inverse · (h - mean(h) - n · mean(h · n)) + more,   h = weight · gradient, without mean(h) where not centred
///
/// `more`, unless it is null, is what reaches x past the norm; `out` may take its place. Block b leaves its rows'
/// part of the weight's gradient, Σ gradient · n, in row b of parts (grid, D), for add_column_sums: the
/// grid decides the order of the sum.
template <bool centred, bool narrow> __global__ void __launch_bounds__(1024) normalise_backward(
    const bf16* gradient, const bf16* x, const float* weight, const float* saved, const bf16* more, bf16* out,
    float* parts, int32_t rows, int32_t dim) {
    const int column = threadIdx.x * 8, columns = dim - column;
    const bool aligned = dim % 8 == 0;
    const Eight w = load_eight(weight + column, columns, aligned);
    Eight weight_gradient = {};
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y; first < rows; first += step) {
        const int64_t row = first + threadIdx.y, at = row * dim + column;
        const int own = row < rows ? columns : 0;
        Eight dy = load_eight(gradient + at, own, aligned);
        Eight value = load_eight(x + at, own, aligned);
        const Eight past = more ? load_eight(more + at, own, aligned) : Eight{};
        const float scale = row < rows ? saved[row] : 0.0f;
        float product = 0.0f, sum = 0.0f;
        if constexpr (centred) {
            const float mean = row < rows ? saved[rows + row] : 0.0f;
            for (int k = 0; k < 8; k++) value[k] -= mean;
        }
        for (int k = 0; k < 8; k++) {
            weight_gradient[k] += dy[k] * value[k] * scale;
            dy[k] *= w[k];
            product += dy[k] * value[k];
            if constexpr (centred) sum += dy[k];
        }
        const float pull = scale * scale * row_sum<narrow>(product) / dim;
        if constexpr (centred) {
            const float shift = row_sum<narrow>(sum) / dim;
            for (int k = 0; k < 8; k++) dy[k] -= shift;
        }
        for (int k = 0; k < 8; k++) dy[k] = scale * (dy[k] - value[k] * pull) + past[k];
        store_eight(out + at, dy, own, aligned);
    }
    float* to = parts + static_cast<int64_t>(blockIdx.x) * dim + column;
    if constexpr (narrow) {
        // The block's rows, in their order.
        __shared__ float sums[256][8];
        const int lanes = blockDim.x;
        store_vector(sums[threadIdx.y * lanes + threadIdx.x], weight_gradient);
        __syncthreads();
        if (threadIdx.y > 0) return;
        for (int other = 1; other < static_cast<int>(blockDim.y); other++) {
            for (int k = 0; k < 8; k++) weight_gradient[k] += sums[other * lanes + threadIdx.x][k];
        }
    }
    store_eight(to, weight_gradient, columns, aligned);
}

/// out = x / sqrt(Σ x² + epsilon), in the geometry of `normalise`.
template <bool narrow> __global__ void __launch_bounds__(1024) l2_normalise(
    const bf16* x, float epsilon, bf16* out, int32_t rows, int32_t dim) {
    const int column = threadIdx.x * 8;
    const bool aligned = dim % 8 == 0;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y; first < rows; first += step) {
        const int64_t row = first + threadIdx.y, at = row * dim + column;
        const int own = row < rows ? dim - column : 0;
        Eight value = load_eight(x + at, own, aligned);
        float squares = 0.0f;
        for (int k = 0; k < 8; k++) squares += value[k] * value[k];
        const float scale = 1.0f / sqrtf(row_sum<narrow>(squares) + epsilon);
        for (int k = 0; k < 8; k++) value[k] *= scale;
        store_eight(out + at, value, own, aligned);
    }
}

/// With y = x · scale, the result: out = scale · (gradient - y · Σ gradient · y).
template <bool narrow> __global__ void __launch_bounds__(1024) l2_normalise_backward(
    const bf16* gradient, const bf16* x, float epsilon, bf16* out, int32_t rows, int32_t dim) {
    const int column = threadIdx.x * 8;
    const bool aligned = dim % 8 == 0;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.y; first < rows; first += step) {
        const int64_t row = first + threadIdx.y, at = row * dim + column;
        const int own = row < rows ? dim - column : 0;
        Eight dy = load_eight(gradient + at, own, aligned);
        const Eight value = load_eight(x + at, own, aligned);
        float squares = 0.0f, product = 0.0f;
        for (int k = 0; k < 8; k++) {
            squares += value[k] * value[k];
            product += value[k] * dy[k];
        }
        const float scale = 1.0f / sqrtf(row_sum<narrow>(squares) + epsilon);
        const float pull = scale * scale * row_sum<narrow>(product);
        for (int k = 0; k < 8; k++) dy[k] = scale * (dy[k] - value[k] * pull);
        store_eight(out + at, dy, own, aligned);
    }
}
