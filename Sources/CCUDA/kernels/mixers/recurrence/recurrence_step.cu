// One token of recurrences, for decoding.
#include "recurrence.cuh"

/// o (R, H, V) from q (R, H, K), k (R, N, K), v (R, N, V), logDecays (R, N, K or 1), betas (R, N) of a delta rule, and the states
/// (R, N, K, V), updated in place. H = N · group. Four neighbouring threads hold a column of the state in float32.
/// Grid (N, R), block threads_for(V), shared ((group + 2) K) 4.
template <int K, int V, int group, bool channels, bool delta>
__global__ void __launch_bounds__(recurrences::threads_for(V)) recurrence_step(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
    const float* __restrict__ logDecays, const float* __restrict__ betas, float* __restrict__ states,
    bf16* __restrict__ o, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    float* key = reinterpret_cast<float*>(memory);  // (K)
    float* keep = key + K;                          // (K)
    float* query = keep + K;                        // (group, K), scaled
    constexpr int share = share_of(K);
    const int column = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = column < V;
    const int64_t place = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float state[share];
    load_own<K>(state, states, place * K * V + column, V, active);
    load<K>(key, k + place * K);
    load<group * K>(query, q + place * group * K, scale);
    load_decays<K, channels>(keep, logDecays, place);
    __syncthreads();
    float recalled = 0.0f;
#pragma unroll
    for (int r = 0; r < share; r++) {
        const int i = part + r * parts;
        state[r] = i < K ? state[r] * keep[i] : 0.0f;
        if (delta && i < K) recalled += key[i] * state[r];
    }
    float u = active ? to_float(v[place * V + column]) : 0.0f;
    if (delta) u = betas[place] * (u - shared_sum(recalled));
#pragma unroll
    for (int r = 0; r < share; r++) {
        const int i = part + r * parts;
        if (i < K) state[r] += key[i] * u;
    }
    read_column<K, V, group>(o, query, state, place, column, active);
    store_own<K>(state, states, place * K * V + column, V, active);
}
