// Operations on every element of tensors of `count` elements, 8 a thread: grid ceil(count / (8 · block)), block 256.
#include "eight.cuh"

/// out = x + y.
__global__ void add(const bf16* x, const bf16* y, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight a = load_eight(x + i, left, true);
    const Eight b = load_eight(y + i, left, true);
    for (int k = 0; k < 8; k++) a[k] += b[k];
    store_eight(out + i, a, left, true);
}

/// out = scale · x.
__global__ void scale(const bf16* x, float scale, bf16* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight a = load_eight(x + i, left, true);
    for (int k = 0; k < 8; k++) a[k] *= scale;
    store_eight(out + i, a, left, true);
}

/// x = cap · tanh(x / cap).
__global__ void cap_values(float* x, float cap, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    Eight a = load_eight(x + i, left, true);
    for (int k = 0; k < 8; k++) a[k] = capped(a[k], cap);
    store_eight(x + i, a, left, true);
}

/// y += scale · x.
template <typename T> __global__ void scale_add(const T* x, float scale, T* y, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left <= 0) return;
    const Eight a = load_eight(x + i, left, true);
    Eight b = load_eight(y + i, left, true);
    for (int k = 0; k < 8; k++) b[k] += scale * a[k];
    store_eight(y + i, b, left, true);
}

/// out = x, rounded to nearest even.
template <typename From, typename To> __global__ void cast(const From* x, To* out, int64_t count) {
    const int64_t i = first_of_eight(), left = count - i;
    if (left > 0) store_eight(out + i, load_eight(x + i, left, true), left, true);
}

/// out (rows, to) = the first columns of x (rows, from), zeros beyond them.
/// Grid ⌈rows · to / 256⌉, block 256.
__global__ void copy_columns(const bf16* x, bf16* out, int64_t rows, int32_t from, int32_t to) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= rows * to) return;
    const int64_t row = i / to, column = i % to;
    out[i] = column < from ? x[row * from + column] : to_bf16(0.0f);
}
