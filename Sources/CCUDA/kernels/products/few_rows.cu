// Products of few rows, such as the tokens of a step, with all weights that read them: one launch, where a product by itself would
// take less time than its start.
#include "eight.cuh"

/// y = x · weightᵀ + bias for up to six weights (outputs, I) of x (rows, I), rows ≤ `most`, I a multiple of 8: y (rows, outputs) each,
/// a bias (outputs) or null. A warp an output of all rows, which does not depend on how many there are: grid ⌈Σ outputs / 8⌉,
/// block (32, 8). Weights that are not there have 0 outputs.
template <int most> __global__ void __launch_bounds__(256) few_rows(
    const bf16* x, int32_t rows, int32_t inputs, const bf16* weight0, const float* bias0, bf16* y0, int32_t outputs0,
    const bf16* weight1, const float* bias1, bf16* y1, int32_t outputs1, const bf16* weight2, const float* bias2, bf16* y2,
    int32_t outputs2, const bf16* weight3, const float* bias3, bf16* y3, int32_t outputs3, const bf16* weight4,
    const float* bias4, bf16* y4, int32_t outputs4, const bf16* weight5, const float* bias5, bf16* y5, int32_t outputs5) {
    constexpr int maps = 6;
    const bf16* const weights[maps] = {weight0, weight1, weight2, weight3, weight4, weight5};
    const float* const biases[maps] = {bias0, bias1, bias2, bias3, bias4, bias5};
    bf16* const results[maps] = {y0, y1, y2, y3, y4, y5};
    const int32_t outputs[maps] = {outputs0, outputs1, outputs2, outputs3, outputs4, outputs5};
    int64_t output = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    const bf16* weight = nullptr;
    const float* bias = nullptr;
    bf16* y = nullptr;
    int32_t width = 0;
#pragma unroll
    for (int i = 0; i < maps; i++) {
        if (y || output >= outputs[i]) {
            if (!y) output -= outputs[i];
            continue;
        }
        weight = weights[i];
        bias = biases[i];
        y = results[i];
        width = outputs[i];
    }
    if (!y) return;
    weight += output * inputs;
    float sums[most] = {};
#pragma unroll 2
    for (int32_t i = threadIdx.x * 8; i < inputs; i += 256) {
        const Eight w = load_vector(weight + i);
#pragma unroll
        for (int row = 0; row < most; row++) {
            if (row >= rows) break;
            const Eight value = load_vector(x + static_cast<int64_t>(row) * inputs + i);
            for (int k = 0; k < 8; k++) sums[row] += w[k] * value[k];
        }
    }
#pragma unroll
    for (int row = 0; row < most; row++) {
        if (row >= rows) break;
        const float sum = warp_sum(sums[row]) + (bias ? bias[output] : 0.0f);
        if (threadIdx.x == 0) y[static_cast<int64_t>(row) * width + output] = to_bf16(sum);
    }
}
