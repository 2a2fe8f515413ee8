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

/// The decays of a token, one for each of K channels.
template <int K, bool channels>
__device__ inline void load_decays(float* shared, const float* logDecays, int64_t place) {
    for (int i = threadIdx.x; i < K; i += blockDim.x) shared[i] = expf(logDecays[channels ? place * K + i : place]);
}

}  // namespace recurrences
