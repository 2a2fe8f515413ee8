// The greedy choice of the next token, and the step to the next position, for decoding in a CUDA graph.
#include "eight.cuh"

/// ids (R) = the index of the largest of each row of logits (R, O), the lowest among equals. Grid R, block 1024.
template <typename T> __global__ void __launch_bounds__(1024) argmax(const T* logits, int32_t* ids, int32_t outputs) {
    __shared__ int32_t indices[32];
    const T* row = logits + static_cast<int64_t>(blockIdx.x) * outputs;
    float largest = -INFINITY_F;
    int32_t index = 0x7fffffff;
    for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) {
        const Eight x = load_eight(row + at, outputs - at, outputs % 8 == 0, -INFINITY_F);
        for (int k = 0; k < 8; k++) {
            if (!(x[k] > largest)) continue;
            largest = x[k];
            index = at + k;
        }
    }
    if (largest < block_max(largest)) index = 0x7fffffff;
    for (int mask = 16; mask > 0; mask /= 2) index = min(index, shuffle_xor(index, mask));
    if (threadIdx.x % 32 == 0) indices[threadIdx.x / 32] = index;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int warp = 1; warp < static_cast<int>(blockDim.x) / 32; warp++) index = min(index, indices[warp]);
    // Where no logit is above -∞ or all are NaN, the first.
    ids[blockIdx.x] = index < outputs ? index : 0;
}

/// Keeps the chosen ids (R) in row `position` mod `length` of `history` (length, R) and goes on to the next position.
/// Grid 1, block 256.
__global__ void advance(const int32_t* ids, int32_t* history, int32_t* position, int32_t rows, int32_t length) {
    const int64_t row = *position % length;
    for (int i = threadIdx.x; i < rows; i += blockDim.x) history[row * rows + i] = ids[i];
    __syncthreads();
    if (threadIdx.x == 0) *position += 1;
}
