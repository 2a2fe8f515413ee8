// What the kernels of expressions are made of. The text of each is written when it is first asked for
// (Sources/Tensors/Backends/CUDA/PointwiseText.swift); elements are counted in its type `Index`.
#pragma once
#include "activation.cuh"

// Functions of one element, exact to a few units in the last place of float32: results may be decays, or their
// logarithms. NaN stays.

__device__ inline float at_least(float x, float c) { return c > x ? c : x; }
__device__ inline float at_most(float x, float c) { return c < x ? c : x; }
__device__ inline float exact_sigmoid(float x) {
    const float tail = expf(-fabsf(x)), near = 1.0f / (1.0f + tail);
    return x < 0.0f ? tail * near : near;
}
__device__ inline float sigmoid_slope(float x) {
    const float tail = expf(-fabsf(x)), near = 1.0f / (1.0f + tail);
    return tail * near * near;
}
__device__ inline float softplus(float x) { return -log_sigmoid(-x); }
template <typename Activation> __device__ inline float act(float x) { return x * Activation::share(x); }
template <typename Activation> __device__ inline float act_slope(float x) {
    return Activation::slope(x, Activation::share(x));
}
/// x for a comparison that holds, 0 for one that does not, NaN where what is compared is.
__device__ inline float where(bool holds, float x, float compared) {
    return compared == compared ? (holds ? x : 0.0f) : compared;
}

/// Eight elements from element i on, of which `left` are there, of an input that has element e at x[e / inner % count].
template <typename Index, typename T>
__device__ inline Eight load_spread(const T* x, Index i, Index left, Index inner, Index count, bool aligned) {
    Index index = i / inner % count, run = inner - i % inner;
    if (inner == 1 && count % 8 == 0 && i % 8 == 0) return load_eight(x + index, left, aligned);
    Eight result = {};
    float value = left > 0 ? to_float(x[index]) : 0.0f;
#pragma unroll
    for (int k = 0; k < 8; k++) {
        if (k < left) {
            if (run == 0) {
                index = index + 1 == count ? 0 : index + 1;
                run = inner;
                value = to_float(x[index]);
            }
            result[k] = value;
            run--;
        }
    }
    return result;
}

/// Where a thread of a kernel with sums works. Elements stand in `rows` of `columns`, and the columns in units, of
/// which each is cut into strips of 256. A block takes the strips at one place in `each` rows: grid (ceil(rows / each),
/// strips in a row), block (lanes, 256 / lanes), lanes the least power of two from ceil(min(unit, 256) / 8) up.
struct Strip {
    int64_t first, last;
    int32_t column, own, unit, part, parts;

    __device__ Strip(int64_t rows, int32_t columns, int32_t unit_columns, int32_t each) {
        parts = (unit_columns + 255) / 256;
        unit = blockIdx.y / parts;
        part = blockIdx.y % parts;
        const int32_t begin = part * 256 + threadIdx.x * 8, end = min(unit_columns, part * 256 + 256);
        column = unit * unit_columns + begin;
        own = end - begin;
        first = static_cast<int64_t>(blockIdx.x) * each;
        last = min(first + each, rows);
    }
};

/// Adds up x over the threads of a strip of row `row`, for all rows of a block at once: sums (rows, units, parts).
template <typename T> __device__ inline void store_row_sum(
    T* sums, const Eight& x, const Strip& strip, int64_t row, int32_t units, int32_t own) {
    float sum = 0.0f;
    for (int k = 0; k < 8; k++) sum += k < own ? x[k] : 0.0f;
    for (int mask = blockDim.x / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    if (threadIdx.x == 0 && row < strip.last) {
        store_one(sums + (row * units + strip.unit) * strip.parts + strip.part, sum);
    }
}

__device__ inline void add_own(Eight& sum, const Eight& x, int32_t own) {
    for (int k = 0; k < 8; k++) sum[k] += k < own ? x[k] : 0.0f;
}

/// The sums of a block's threads over their rows, in order: parts (blocks, columns). All threads of a block must call
/// it.
__device__ inline void store_column_sums(float* parts, Eight sum, const Strip& strip, int32_t columns) {
    __shared__ float sums[256][8];
    const int lanes = blockDim.x;
    __syncthreads();
    store_vector(sums[threadIdx.y * lanes + threadIdx.x], sum);
    __syncthreads();
    if (threadIdx.y > 0) return;
    for (int other = 1; other < static_cast<int>(blockDim.y); other++) {
        for (int k = 0; k < 8; k++) sum[k] += sums[other * lanes + threadIdx.x][k];
    }
    float* to = parts + static_cast<int64_t>(blockIdx.x) * columns + strip.column;
    store_eight(to, sum, strip.own, columns % 8 == 0 && strip.column % 8 == 0);
}
