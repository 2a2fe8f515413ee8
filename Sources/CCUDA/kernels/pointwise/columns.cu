// Sums over the rows of a matrix, in two steps of a fixed order: strips of rows into parts, and those into the sums.
#include "eight.cuh"

/// Sums of strips of `strip` rows of x (rows, columns) → parts (ceil(rows / strip), columns). Grid
/// (ceil(columns / 256), ceil(rows / strip)), block (32, 8).
template <typename T> __global__ void column_parts(
    const T* x, float* parts, int64_t rows, int32_t columns, int32_t strip) {
    __shared__ float sums[8][256];
    const int column = blockIdx.x * 256 + threadIdx.x * 8, left = columns - column;
    const bool aligned = columns % 8 == 0;
    const int64_t first = static_cast<int64_t>(blockIdx.y) * strip, last = min(first + strip, rows);
    Eight sum = {};
#pragma unroll 4
    for (int64_t row = first + threadIdx.y; row < last; row += 8) {
        const Eight value = load_eight(x + row * columns + column, left, aligned);
        for (int k = 0; k < 8; k++) sum[k] += value[k];
    }
    store_vector(&sums[threadIdx.y][threadIdx.x * 8], sum);
    __syncthreads();
    const int own = threadIdx.y * 32 + threadIdx.x, own_column = blockIdx.x * 256 + own;
    if (own_column >= columns) return;
    float total = 0.0f;
    for (int y = 0; y < 8; y++) total += sums[y][own];
    parts[static_cast<int64_t>(blockIdx.y) * columns + own_column] = total;
}

/// sums (columns) += the sum of the rows of parts (count, columns). Grid ceil(columns / 8), block (8, 64).
__global__ void add_column_sums(const float* parts, float* sums, int32_t count, int32_t columns) {
    __shared__ float warps[16][8];
    const int column = blockIdx.x * 8 + threadIdx.x;
    float sum = 0.0f;
    if (column < columns) {
#pragma unroll 4
        for (int row = threadIdx.y; row < count; row += 64) sum += parts[static_cast<int64_t>(row) * columns + column];
    }
    // A warp holds four rows of the eight columns.
    sum += shuffle_xor(sum, 8);
    sum += shuffle_xor(sum, 16);
    if (threadIdx.y % 4 == 0) warps[threadIdx.y / 4][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= columns) return;
    float total = 0.0f;
    for (int warp = 0; warp < 16; warp++) total += warps[warp][threadIdx.x];
    sums[column] += total;
}
