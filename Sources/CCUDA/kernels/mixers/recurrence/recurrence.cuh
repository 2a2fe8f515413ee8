// Recurrences over a state that is a matrix (K, V), per key/value head and token t, with a = exp(log decay):
//
//     gated linear (arXiv 2312.06635)    S_t = Diag(a_t) S_{t-1} + k_t u_tᵀ,   u_t = v_t
//     gated delta  (arXiv 2412.06464)    the same with u_t = β_t w_t,   w_t = v_t - S_{t-1}ᵀ (a_t ⊙ k_t)
//     both                               o_t = scale · S_tᵀ q_t
//
// A block has one head and goes through its tokens one after the other; 4 neighbouring threads hold a column, or a row, of
// the state in float32. `starts` (B, T), or null for one document a row, has the first token of every token's document;
// nothing is kept where another begins.
#pragma once
#include "device.cuh"

namespace recurrences {

constexpr int parts = 4;  // threads that share a row or column

/// Threads for `count` rows or columns: whole warps.
constexpr int threads_for(int count) { return (parts * count + 31) / 32 * 32; }
/// Elements that a thread holds of `count`.
constexpr int share_of(int count) { return (count + parts - 1) / parts; }

/// The sum over the threads that share a row or column, in each.
__device__ inline float shared_sum(float x) {
    x += shuffle_xor(x, 1);
    return x + shuffle_xor(x, 2);
}

/// Whether a document other than the row's first begins at token t.
__device__ inline bool begins(const int32_t* starts, int64_t row, int t) {
    return starts != nullptr && t > 0 && starts[row] == t;
}

template <int count, typename Element>
__device__ inline void load(float* shared, const Element* __restrict__ from, float factor = 1.0f) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) shared[i] = factor * to_float(from[i]);
}

/// What a thread holds, in `own`, of `count` elements from `from` on that are `step` apart: zeros where they are not `active`, and
/// where `from` is null.
template <int count>
__device__ inline void load_own(float (&own)[share_of(count)], const float* from, int64_t first, int step, bool active) {
    const int part = threadIdx.x % parts;
#pragma unroll
    for (int r = 0; r < share_of(count); r++) {
        const int i = part + r * parts;
        own[r] = active && i < count && from != nullptr ? from[first + i * step] : 0.0f;
    }
}

/// The same, to where they are `active` and `to` is not null.
template <int count>
__device__ inline void store_own(const float (&own)[share_of(count)], float* to, int64_t first, int step, bool active) {
    if (to == nullptr || !active) return;
    const int part = threadIdx.x % parts;
#pragma unroll
    for (int r = 0; r < share_of(count); r++) {
        const int i = part + r * parts;
        if (i < count) to[first + i * step] = own[r];
    }
}

/// The decays of a token, one for each of K channels.
template <int K, bool channels>
__device__ inline void load_decays(float* shared, const float* logDecays, int64_t place) {
    for (int i = threadIdx.x; i < K; i += blockDim.x) shared[i] = expf(logDecays[channels ? place * K + i : place]);
}

/// o of the group's queries at `place` in rows of key/value heads, of the column that four threads hold: its sums with `query`
/// (group, K) in shared memory.
template <int K, int V, int group>
__device__ inline void read_column(
    bf16* __restrict__ o, const float* query, const float (&state)[share_of(K)], int64_t place, int column, bool active
) {
    const int part = threadIdx.x % parts;
    for (int g = 0; g < group; g++) {
        float sum = 0.0f;
#pragma unroll
        for (int r = 0; r < share_of(K); r++) {
            const int i = part + r * parts;
            if (i < K) sum += query[g * K + i] * state[r];
        }
        sum = shared_sum(sum);
        if (active && part == 0) o[(place * group + g) * V + column] = to_bf16(sum);
    }
}

}  // namespace recurrences
