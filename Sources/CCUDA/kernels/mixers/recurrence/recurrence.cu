// The outputs of recurrences.
#include "recurrence.cuh"

/// o (B, T, H, V) from q (B, T, H, K), k (B, T, N, K), v (B, T, N, V), logDecays (B, T, N, K or 1), betas (B, T, N) of a
/// delta rule, and the state `from` (B, N, K, V), or null for zeros, whose successor goes `to`, unless null; the two may be
/// one. Unless null, `errors` (B, T, N, V) gets w of a delta rule. H = N · group.
/// Grid (N, B), block threads_for(V), shared ((group + 2) K) 4.
template <int K, int V, int group, bool channels, bool delta>
__global__ void __launch_bounds__(recurrences::threads_for(V)) recurrence_outputs(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
    const float* __restrict__ logDecays, const float* __restrict__ betas, const int32_t* __restrict__ starts,
    const float* from, float* to, bf16* __restrict__ o, float* __restrict__ errors, int tokens, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    float* key = reinterpret_cast<float*>(memory);  // (K)
    float* keep = key + K;                          // (K)
    float* query = keep + K;                        // (group, K), scaled
    constexpr int share = share_of(K);
    const int column = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = column < V;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float state[share];
    load_own<K>(state, from, head * K * V + column, V, active);
    for (int t = 0; t < tokens; t++) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        __syncthreads();
        load<K>(key, k + place * K);
        load<group * K>(query, q + place * group * K, scale);
        load_decays<K, channels>(keep, logDecays, place);
        __syncthreads();
        const bool begin = begins(starts, row, t);
        float recalled = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            state[r] = i < K && !begin ? state[r] * keep[i] : 0.0f;
            if (delta && i < K) recalled += key[i] * state[r];
        }
        float u = active ? to_float(v[place * V + column]) : 0.0f;
        if (delta) {
            u -= shared_sum(recalled);
            if (active && part == 0 && errors != nullptr) errors[place * V + column] = u;
            u *= betas[place];
        }
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (i < K) state[r] += key[i] * u;
        }
        for (int g = 0; g < group; g++) {
            float sum = 0.0f;
#pragma unroll
            for (int r = 0; r < share; r++) {
                const int i = part + r * parts;
                if (i < K) sum += query[g * K + i] * state[r];
            }
            sum = shared_sum(sum);
            if (active && part == 0) o[(place * group + g) * V + column] = to_bf16(sum);
        }
    }
    store_own<K>(state, to, head * K * V + column, V, active);
}
