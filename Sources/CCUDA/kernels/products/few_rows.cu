// Products of few rows, such as the tokens of a step, with all weights that read them: one launch, where a product by itself would
// take less time than its start. What stands before and after products of few rows is done with them, for the same reason: the norm
// of what they read (Zhang and Sennrich 2019, arXiv 1910.07467), whose scale is a factor of every sum, a gate, or what is added.
// A warp computes an output of all rows, which does not depend on how many there are.
#include "activation.cuh"

/// A lane's part of x · weights for several weights of one input, and of Σ x², where `normed`: x is then times the norm's weight.
template <int most, int count, bool normed> struct FewRows {
    float sums[most][count] = {};
    float squares[most] = {};

    __device__ void add(
        const bf16* x, int32_t rows, int32_t inputs, const float* norm, const bf16* const (&weights)[count]) {
#pragma unroll 2
        for (int32_t i = threadIdx.x * 8; i < inputs; i += 256) {
            Eight w[count];
#pragma unroll
            for (int map = 0; map < count; map++) w[map] = load_vector(weights[map] + i);
            const Eight scale = normed ? load_vector(norm + i) : Eight{};
#pragma unroll
            for (int row = 0; row < most; row++) {
                if (row >= rows) break;
                Eight value = load_vector(x + static_cast<int64_t>(row) * inputs + i);
                for (int k = 0; k < 8 && normed; k++) {
                    squares[row] += value[k] * value[k];
                    value[k] *= scale[k];
                }
#pragma unroll
                for (int map = 0; map < count; map++) {
                    for (int k = 0; k < 8; k++) sums[row][map] += w[map][k] * value[k];
                }
            }
        }
    }

    /// The product of `row` and weight `map`, in every lane.
    __device__ float sum(int row, int map, int32_t inputs, float epsilon) const {
        const float sum = warp_sum(sums[row][map]);
        return normed ? sum / sqrtf(warp_sum(squares[row]) / inputs + epsilon) : sum;
    }
};

/// y = n · weightᵀ + bias for up to six weights (outputs, I) of x (rows, I), rows ≤ `most`, I a multiple of 8: y (rows, outputs) each,
/// a bias (outputs) or null. n is x, or where `normed` norm · x / sqrt(mean(x²) + epsilon), with norm (I). To the first y `added`
/// (rows, outputs) is added, unless it is null. Grid ⌈Σ outputs / 8⌉, block (32, 8). Weights that are not there have 0 outputs.
template <int most, bool normed> __global__ void __launch_bounds__(256) few_rows(
    const bf16* x, int32_t rows, int32_t inputs, const float* norm, float epsilon, const bf16* added, const bf16* weight0,
    const float* bias0, bf16* y0, int32_t outputs0, const bf16* weight1, const float* bias1, bf16* y1, int32_t outputs1,
    const bf16* weight2, const float* bias2, bf16* y2, int32_t outputs2, const bf16* weight3, const float* bias3, bf16* y3,
    int32_t outputs3, const bf16* weight4, const float* bias4, bf16* y4, int32_t outputs4, const bf16* weight5,
    const float* bias5, bf16* y5, int32_t outputs5) {
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
    FewRows<most, 1, normed> products;
    products.add(x, rows, inputs, norm, {weight + output * inputs});
    if (y != y0) added = nullptr;
#pragma unroll
    for (int row = 0; row < most; row++) {
        if (row >= rows) break;
        const int64_t at = static_cast<int64_t>(row) * width + output;
        float sum = products.sum(row, 0, inputs, epsilon) + (bias ? bias[output] : 0.0f);
        if (threadIdx.x > 0) continue;
        if (added) sum += to_float(added[at]);
        y[at] = to_bf16(sum);
    }
}

/// y = act(n · gateᵀ + gate_bias) · (n · upᵀ + up_bias) (rows, outputs), n as above (Shazeer 2020, arXiv 2002.05202).
/// Grid ⌈outputs / 8⌉, block (32, 8).
template <int most, bool normed, typename Activation> __global__ void __launch_bounds__(256) few_rows_gated(
    const bf16* x, int32_t rows, int32_t inputs, const float* norm, float epsilon, const bf16* gate, const float* gate_bias,
    const bf16* up, const float* up_bias, bf16* y, int32_t outputs) {
    const int64_t output = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (output >= outputs) return;
    FewRows<most, 2, normed> products;
    products.add(x, rows, inputs, norm, {gate + output * inputs, up + output * inputs});
#pragma unroll
    for (int row = 0; row < most; row++) {
        if (row >= rows) break;
        const float a = products.sum(row, 0, inputs, epsilon) + (gate_bias ? gate_bias[output] : 0.0f);
        const float b = products.sum(row, 1, inputs, epsilon) + (up_bias ? up_bias[output] : 0.0f);
        if (threadIdx.x == 0) y[static_cast<int64_t>(row) * outputs + output] = to_bf16(a * Activation::share(a) * b);
    }
}
