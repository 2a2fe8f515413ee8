// The relative squared error mean((x - target)²) / mean(target²) of tensors of `count` elements, and its gradient
// 2 (x - target) / Σ target². The three kernels run one after the other.
#include "eight.cuh"

/// Block b's Σ (x - target)² and Σ target² → parts[2 b] and [2 b + 1]. Any grid, such as min(ceil(count / 2048),
/// 1024); block 256.
__global__ void squared_error_parts(const bf16* x, const bf16* target, float* parts, int64_t count) {
    float distance = 0.0f, size = 0.0f;
    for (int64_t i = first_of_eight(); i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x * 8) {
        const Eight a = load_eight(x + i, count - i, true), b = load_eight(target + i, count - i, true);
        for (int k = 0; k < 8; k++) {
            distance += (a[k] - b[k]) * (a[k] - b[k]);
            size += b[k] * b[k];
        }
    }
    distance = block_sum(distance);
    size = block_sum(size);
    if (threadIdx.x > 0) return;
    parts[2 * blockIdx.x] = distance;
    parts[2 * blockIdx.x + 1] = size;
}

/// loss = Σ distances / Σ sizes, and factor = 2 · scale / Σ sizes. Not finite for a target of zeros. Grid 1, block
/// 1024.
__global__ void squared_error_loss(const float* parts, int32_t count, float scale, float* loss, float* factor) {
    float distance = 0.0f, size = 0.0f;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        distance += parts[2 * i];
        size += parts[2 * i + 1];
    }
    distance = block_sum(distance);
    size = block_sum(size);
    if (threadIdx.x > 0) return;
    *loss = distance / size;
    *factor = 2.0f * scale / size;
}

/// out = factor · (x - target), the gradient of scale · loss. Grid ceil(count / 2048), block 256.
__global__ void squared_error_gradient(
    const bf16* x, const bf16* target, const float* factor, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight a = load_eight(x + i, left, true);
    const Eight b = load_eight(target + i, left, true);
    for (int k = 0; k < 8; k++) a[k] = *factor * (a[k] - b[k]);
    store_eight(out + i, a, left, true);
}
