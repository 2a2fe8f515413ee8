// The second halves of sums that other kernels have begun.
#include "eight.cuh"

/// out[j] = the sum of x[e], e from 0 to `elements`, with e / inner % count = j. A warp has one j: grid ceil(count /
/// 8), block (32, 8).
template <typename T> __global__ void fold(const float* x, T* out, int64_t elements, int32_t inner, int64_t count) {
    const int64_t j = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    float sum = 0.0f;
    const int64_t own = j < count ? elements / count : 0;
    for (int64_t i = threadIdx.x; i < own; i += 32) sum += x[(i / inner * count + j) * inner + i % inner];
    sum = warp_sum(sum);
    if (threadIdx.x == 0 && j < count) store_one(out + j, sum);
}
