// Mixtures of experts, of which each computes all rows here: weights (E, R), float32, are 0 for the experts that a row does
// not take.
#include "eight.cuh"

/// Experts that a lane of a warp has at most, of 1024.
constexpr int own_experts = 32;

/// A row's logits, a warp's; -infinity beyond them.
struct RouterRow {
    float logits[own_experts];
    float most = -INFINITY_F;

    __device__ RouterRow(const bf16* row, int experts) {
        for (int i = 0; i < own_experts; i++) {
            const int expert = threadIdx.x + 32 * i;
            logits[i] = expert < experts ? to_float(row[expert]) : -INFINITY_F;
            most = fmaxf(most, logits[i]);
        }
        most = warp_max(most);
    }
    /// Σ exp(logit - most).
    __device__ float sum() const {
        float sum = 0.0f;
        for (int i = 0; i < own_experts; i++) sum += exp_fast(logits[i] - most);
        return warp_sum(sum);
    }
};

/// weights (E, R) of the `active` experts of each row that have its largest logits (R, E), of equal ones the first: their
/// shares of softmax(logits), divided by their sum where `normalised`; 0 for the others. A warp a row: grid ⌈R / 8⌉,
/// block (32, 8). E ≤ 1024.
__global__ void route(
    const bf16* logits, float* weights, int32_t rows, int32_t experts, int32_t active, bool normalised) {
    const int own = blockIdx.x * blockDim.y + threadIdx.y, row = min(own, rows - 1);
    const RouterRow router(logits + static_cast<int64_t>(row) * experts, experts);
    uint32_t taken = 0;
    float sum = 0.0f;
    for (int k = 0; k < active; k++) {
        float best = -INFINITY_F;
        int32_t place = 1 << 30;
        for (int i = 0; i < own_experts; i++) {
            const int32_t expert = threadIdx.x + 32 * i;
            if (expert >= experts || (taken >> i & 1u) || (place < experts && router.logits[i] <= best)) continue;
            best = router.logits[i];
            place = expert;
        }
        for (int mask = 16; mask > 0; mask /= 2) {
            const float other = shuffle_xor(best, mask);
            const int32_t other_place = shuffle_xor(place, mask);
            if (other > best || (other == best && other_place < place)) {
                best = other;
                place = other_place;
            }
        }
        if (place % 32 == static_cast<int32_t>(threadIdx.x)) taken |= 1u << place / 32;
        sum += exp_fast(best - router.most);
    }
    const float all = normalised ? sum : router.sum();
    if (own >= rows) return;
    for (int i = 0; i < own_experts; i++) {
        const int expert = threadIdx.x + 32 * i;
        if (expert >= experts) break;
        const float share = exp_fast(router.logits[i] - router.most) / all;
        weights[static_cast<int64_t>(expert) * rows + row] = taken >> i & 1u ? share : 0.0f;
    }
}

/// The gradient of logits from that of weights, (E, R) float32. Grid and block as above.
__global__ void route_backward(
    const float* gradient, const bf16* logits, const float* weights, bf16* out, int32_t rows, int32_t experts,
    bool normalised) {
    const int own = blockIdx.x * blockDim.y + threadIdx.y, row = min(own, rows - 1);
    const RouterRow router(logits + static_cast<int64_t>(row) * experts, experts);
    float dot = 0.0f;
    for (int expert = threadIdx.x; expert < experts; expert += 32) {
        const int64_t at = static_cast<int64_t>(expert) * rows + row;
        dot += gradient[at] * weights[at];
    }
    dot = warp_sum(dot);
    const float all = router.sum();
    if (own >= rows) return;
    for (int i = 0; i < own_experts; i++) {
        const int expert = threadIdx.x + 32 * i;
        if (expert >= experts) break;
        const int64_t at = static_cast<int64_t>(expert) * rows + row;
        const float weight = weights[at], share = normalised ? weight : exp_fast(router.logits[i] - router.most) / all;
        out[static_cast<int64_t>(row) * experts + expert] =
            to_bf16(share * ((weight > 0.0f ? gradient[at] : 0.0f) - dot));
    }
}

/// out = shares · x, of rows (R, D), eight elements a thread. Grid ⌈R ⌈D / 8⌉ / 256⌉, block 256.
__global__ void scale_rows(const bf16* x, const float* shares, bf16* out, int64_t rows, int32_t dim) {
    const int64_t pieces = (dim + 7) / 8, i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= rows * pieces) return;
    const int column = i % pieces * 8;
    const int64_t at = i / pieces * dim + column;
    Eight a = load_eight(x + at, dim - column, dim % 8 == 0);
    const float share = shares[i / pieces];
    for (int k = 0; k < 8; k++) a[k] *= share;
    store_eight(out + at, a, dim - column, dim % 8 == 0);
}

/// sum += shares · x, of rows (R, D); `shares` may be null for 1. Grid and block as of scale_rows.
__global__ void add_rows(const bf16* x, const float* shares, bf16* sum, int64_t rows, int32_t dim) {
    const int64_t pieces = (dim + 7) / 8, i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= rows * pieces) return;
    const int column = i % pieces * 8;
    const int64_t at = i / pieces * dim + column;
    const Eight a = load_eight(x + at, dim - column, dim % 8 == 0);
    Eight b = load_eight(sum + at, dim - column, dim % 8 == 0);
    const float share = shares ? shares[i / pieces] : 1.0f;
    for (int k = 0; k < 8; k++) b[k] += share * a[k];
    store_eight(sum + at, b, dim - column, dim % 8 == 0);
}

/// out (R) = the products of the rows of x and y (R, D). A warp a row: grid ⌈R / 8⌉, block (32, 8).
__global__ void row_products(const bf16* x, const bf16* y, float* out, int32_t rows, int32_t dim) {
    const int own = blockIdx.x * blockDim.y + threadIdx.y, row = min(own, rows - 1);
    float sum = 0.0f;
    for (int column = threadIdx.x * 8; column < dim; column += 256) {
        const int64_t at = static_cast<int64_t>(row) * dim + column;
        const Eight a = load_eight(x + at, dim - column, dim % 8 == 0), b = load_eight(y + at, dim - column, dim % 8 == 0);
        for (int k = 0; k < 8; k++) sum += a[k] * b[k];
    }
    sum = warp_sum(sum);
    if (own < rows && threadIdx.x == 0) out[row] = sum;
}
