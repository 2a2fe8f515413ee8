// Causal convolutions of every channel by itself over `width` tokens of x (B, T, D):
//
//     z[t] = bias + Σ_j weight[j] · x[t - width + 1 + j],   out[t] = act(z[t])
//
// `weight` is (D, width), `bias` (D) or null. Before the first token stand those of `state` (B, width - 1, D), or zeros
// where it is null. `first` (B, T), unless null, has the first token of each one's document: no token sees those before
// it, nor the state unless it is 0.
//
// A thread takes eight channels of `strip` tokens, one after the other, and holds the tokens that the next one sees.
// Grid (ceil(B · ceil(T / strip) / 8), ceil(D / 256)), block (32, 8).
#include "activation.cuh"

struct NoActivation {
    __device__ static float share(float) { return 1.0f; }
    __device__ static float slope(float, float) { return 1.0f; }
};

/// A thread's channels and tokens.
template <int width> struct Channels {
    const bf16 *x, *state;
    const int32_t* first;
    int64_t row;  // of the batch
    int32_t strip, begin, end, tokens, dim, column, left;
    bool aligned, works;
    Eight weight[width], bias, seen[width];  // seen[j]: token t - width + 1 + j

    __device__ Channels(
        const bf16* x, const float* weights, const float* biases, const bf16* state, const int32_t* first,
        int32_t rows, int32_t tokens, int32_t dim, int32_t each)
        : x(x), state(state), first(first), tokens(tokens), dim(dim) {
        const int32_t strips = (tokens + each - 1) / each;
        const int64_t own = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
        (row = own / strips, strip = own % strips);
        begin = strip * each;
        end = min(begin + each, tokens);
        column = blockIdx.y * 256 + threadIdx.x * 8;
        left = dim - column;
        aligned = dim % 8 == 0;
        works = row < rows && left > 0;
        if (!works) return;
        bias = biases ? load_eight(biases + column, left, aligned) : Eight{};
        for (int j = 0; j < width; j++) {
            for (int k = 0; k < 8; k++) weight[j][k] = k < left ? weights[(column + k) * width + j] : 0.0f;
            seen[j] = j > 0 ? token(begin - width + j) : Eight{};
        }
    }

    /// Token t, where t < 0 is one of the state.
    __device__ Eight token(int32_t t) const {
        if (t >= 0) return t < tokens ? load_eight(x + (row * tokens + t) * dim + column, left, aligned) : Eight{};
        if (!state) return Eight{};
        return load_eight(state + (row * (width - 1) + t + width - 1) * dim + column, left, aligned);
    }

    __device__ int32_t begin_of(int32_t t) const { return first ? first[row * tokens + t] : 0; }
    /// Whether a token of the document that begins at `start` sees token s before it.
    __device__ static bool sees(int32_t start, int32_t s) { return s >= start || (s < 0 && start == 0); }

    /// Goes on to token t and gives z.
    __device__ Eight next(int32_t t) {
        for (int j = 0; j + 1 < width; j++) seen[j] = seen[j + 1];
        seen[width - 1] = token(t);
        const int32_t start = begin_of(t);
        Eight z = bias;
        for (int j = 0; j < width; j++) {
            if (!sees(start, t - width + 1 + j)) continue;
            for (int k = 0; k < 8; k++) z[k] += weight[j][k] * seen[j][k];
        }
        return z;
    }
};

/// `final`, unless it is null, receives the state after the last token.
template <int width, typename Activation> __global__ void __launch_bounds__(256) short_convolution(
    const bf16* x, const float* weight, const float* bias, const bf16* state, const int32_t* first, bf16* out,
    bf16* final, int32_t rows, int32_t tokens, int32_t dim, int32_t each) {
    Channels<width> own(x, weight, bias, state, first, rows, tokens, dim, each);
    if (!own.works) return;
    for (int32_t t = own.begin; t < own.end; t++) {
        Eight z = own.next(t);
        for (int k = 0; k < 8; k++) z[k] *= Activation::share(z[k]);
        store_eight(out + (own.row * tokens + t) * dim + own.column, z, own.left, own.aligned);
    }
    if (!final || own.end < tokens) return;
    const int32_t start = own.begin_of(tokens - 1);
    for (int j = 1; j < width; j++) {
        const bool is_seen = own.sees(start, tokens - width + j);
        store_eight(
            final + (own.row * (width - 1) + j - 1) * dim + own.column, is_seen ? own.seen[j] : Eight{}, own.left,
            own.aligned);
    }
}

/// Gradients from that of `out` and, unless it is null, that of `final`: of x, of the state unless it is null, and for
/// every strip its tokens' part of those of the weight, (strips, D, width), and of the bias, (strips, D), unless it is
/// null.
template <int width, typename Activation> __global__ void __launch_bounds__(256) short_convolution_backward(
    const bf16* gradient, const bf16* final_gradient, const bf16* x, const float* weight, const float* bias,
    const bf16* state, const int32_t* first, bf16* x_out, float* weight_parts, float* bias_parts, bf16* state_out,
    int32_t rows, int32_t tokens, int32_t dim, int32_t each) {
    Channels<width> own(x, weight, bias, state, first, rows, tokens, dim, each);
    if (!own.works) return;
    // coming[j]: what has come to token t - width + 1 + j.
    Eight coming[width] = {}, to_weight[width] = {}, to_bias = {};
    const int32_t last_start = own.begin_of(tokens - 1);
    for (int32_t t = own.begin; t < own.end + width - 1; t++) {
        for (int j = 0; j + 1 < width; j++) coming[j] = coming[j + 1];
        coming[width - 1] = Eight{};
        if (t < tokens) {
            const Eight z = own.next(t);
            Eight dz = load_eight(gradient + (own.row * tokens + t) * dim + own.column, own.left, own.aligned);
            for (int k = 0; k < 8; k++) dz[k] *= Activation::slope(z[k], Activation::share(z[k]));
            const int32_t start = own.begin_of(t);
            for (int j = 0; j < width; j++) {
                if (!own.sees(start, t - width + 1 + j)) continue;
                for (int k = 0; k < 8; k++) {
                    coming[j][k] += own.weight[j][k] * dz[k];
                    if (t < own.end) to_weight[j][k] += own.seen[j][k] * dz[k];
                }
            }
            if (t < own.end) {
                for (int k = 0; k < 8; k++) to_bias[k] += dz[k];
            }
        }
        const int32_t s = t - width + 1, place = s - tokens + width - 1;
        if (s < own.begin && (s >= 0 || own.begin > 0)) continue;
        Eight whole = coming[0];
        if (final_gradient && place >= 0 && own.sees(last_start, s)) {
            const Eight more = load_eight(
                final_gradient + (own.row * (width - 1) + place) * dim + own.column, own.left, own.aligned);
            for (int k = 0; k < 8; k++) whole[k] += more[k];
        }
        if (s >= 0) {
            store_eight(x_out + (own.row * tokens + s) * dim + own.column, whole, own.left, own.aligned);
        } else if (state_out) {
            store_eight(
                state_out + (own.row * (width - 1) + s + width - 1) * dim + own.column, whole, own.left, own.aligned);
        }
    }
    const int64_t part = own.row * ((tokens + each - 1) / each) + own.strip;
    for (int j = 0; j < width; j++) {
        for (int k = 0; k < 8; k++) {
            if (k < own.left) weight_parts[(part * dim + own.column + k) * width + j] = to_weight[j][k];
        }
    }
    if (bias_parts) store_eight(bias_parts + part * dim + own.column, to_bias, own.left, own.aligned);
}
