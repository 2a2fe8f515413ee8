// Activations of every element of tensors of `count` elements, 8 a thread: grid ceil(count / (8 · block)), block 256.
#include "activation.cuh"

/// out = act(x).
template <typename Activation> __global__ void activated(const bf16* x, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight a = load_eight(x + i, left, true);
    for (int k = 0; k < 8; k++) a[k] *= Activation::share(a[k]);
    store_eight(out + i, a, left, true);
}

/// out = gradient · act'(x).
template <typename Activation> __global__ void activated_backward(
    const bf16* gradient, const bf16* x, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight dy = load_eight(gradient + i, left, true);
    const Eight a = load_eight(x + i, left, true);
    for (int k = 0; k < 8; k++) dy[k] *= Activation::slope(a[k], Activation::share(a[k]));
    store_eight(out + i, dy, left, true);
}

/// out = act(gate) · up.
template <typename Activation> __global__ void gated(const bf16* gate, const bf16* up, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight g = load_eight(gate + i, left, true);
    const Eight u = load_eight(up + i, left, true);
    for (int k = 0; k < 8; k++) g[k] *= Activation::share(g[k]) * u[k];
    store_eight(out + i, g, left, true);
}

/// gate_out = gradient · up · act'(gate), up_out = gradient · act(gate). Either may take the place of an argument.
template <typename Activation> __global__ void gated_backward(
    const bf16* gradient, const bf16* gate, const bf16* up, bf16* gate_out, bf16* up_out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    const Eight dy = load_eight(gradient + i, left, true), g = load_eight(gate + i, left, true);
    Eight to_gate = load_eight(up + i, left, true), to_up;
    for (int k = 0; k < 8; k++) {
        const float s = Activation::share(g[k]);
        to_gate[k] *= dy[k] * Activation::slope(g[k], s);
        to_up[k] = dy[k] * g[k] * s;
    }
    store_eight(gate_out + i, to_gate, left, true);
    store_eight(up_out + i, to_up, left, true);
}

/// out = logsigmoid(x) / divisor, finite for every finite x. The exact functions, since a gate near 1 has a logarithm
/// near 0.
template <typename T> __global__ void log_gate(const T* x, float divisor, float* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight a = load_eight(x + i, left, true);
    for (int k = 0; k < 8; k++) a[k] = log_sigmoid(a[k]) / divisor;
    store_eight(out + i, a, left, true);
}

/// out = gradient · sigmoid(-x) / divisor.
template <typename T> __global__ void log_gate_backward(
    const float* gradient, const T* x, float divisor, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight dy = load_eight(gradient + i, left, true);
    const Eight a = load_eight(x + i, left, true);
    for (int k = 0; k < 8; k++) dy[k] *= sigmoid(-a[k]) / divisor;
    store_eight(out + i, dy, left, true);
}
