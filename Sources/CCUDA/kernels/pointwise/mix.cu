// w · x + (1 - w) · y with w = sigmoid(logit), one logit for each row of x and y (rows, V): rows are the heads of all
// tokens.
//
// `lanes` threads share a row: the least power of two from ceil(V / 8) up, at most 32. Block (lanes, 256 / lanes), grid
// ceil(rows / (256 / lanes)).
#include "eight.cuh"

__global__ void mix(const bf16* x, const bf16* y, const bf16* logits, bf16* out, int64_t rows, int32_t dim) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float w = sigmoid(to_float(logits[row]));
    for (int column = threadIdx.x * 8; column < dim; column += blockDim.x * 8) {
        const int64_t at = row * dim + column;
        Eight a = load_eight(x + at, dim - column, dim % 8 == 0);
        const Eight b = load_eight(y + at, dim - column, dim % 8 == 0);
        for (int k = 0; k < 8; k++) a[k] = w * a[k] + (1.0f - w) * b[k];
        store_eight(out + at, a, dim - column, dim % 8 == 0);
    }
}

/// x_out = w · gradient, y_out = (1 - w) · gradient, logits_out = w (1 - w) Σ gradient · (x - y) over a row. x_out
/// and y_out may take the places of arguments.
__global__ void mix_backward(
    const bf16* gradient, const bf16* x, const bf16* y, const bf16* logits, bf16* x_out, bf16* y_out,
    bf16* logits_out, int64_t rows, int32_t dim) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    const float w = row < rows ? sigmoid(to_float(logits[row])) : 0.0f;
    float product = 0.0f;
    for (int column = threadIdx.x * 8; row < rows && column < dim; column += blockDim.x * 8) {
        const int64_t at = row * dim + column;
        Eight to_x = load_eight(gradient + at, dim - column, dim % 8 == 0), to_y;
        const Eight a = load_eight(x + at, dim - column, dim % 8 == 0);
        const Eight b = load_eight(y + at, dim - column, dim % 8 == 0);
        for (int k = 0; k < 8; k++) {
            product += to_x[k] * (a[k] - b[k]);
            to_y[k] = (1.0f - w) * to_x[k];
            to_x[k] *= w;
        }
        store_eight(x_out + at, to_x, dim - column, dim % 8 == 0);
        store_eight(y_out + at, to_y, dim - column, dim % 8 == 0);
    }
    for (int mask = blockDim.x / 2; mask > 0; mask /= 2) product += shuffle_xor(product, mask);
    if (row < rows && threadIdx.x == 0) logits_out[row] = to_bf16(w * (1.0f - w) * product);
}
