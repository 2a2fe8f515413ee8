// Gradients of recurrences. With the adjoint D of S_t, which gets scale · q_t do_tᵀ from o_t, and du_t = D_tᵀ k_t:
//
//     dv = z = β du    dβ = w · du    D ← a ⊙ (D - k zᵀ)    dq = scale · S do    dk = D u - (a ⊙ S_{t-1}) z
//
// without z's parts where there are no betas, then dv = du. The gradient of log a_t is the sum c_t of all that reaches a
// token from t on, or the final state, from what was written before t, or the initial state:
//
//     c_t = c_{t+1} - k_t ⊙ (D'_t u_t) + Σ scale · q_t ⊙ (a ⊙ S_{t-1}) do_t - k_t ⊙ (a ⊙ S_{t-1}) z_t
//
// with D' without what o_t gives it. States go forwards, adjoints backwards, so that no state is kept: columns give z,
// rows of states what the readers of a token get, rows of adjoints the rest.
#include "recurrence.cuh"

/// dv (B, T, N, V), z `writes` (B, T, N, V) in float32 and, of a delta rule, dβ (B, T, N), from do (B, T, H, V) and the
/// gradient `from` of the final state, or null; that of the initial one goes `to`, unless null.
/// Grid (N, B), block threads_for(V), shared ((group + 2) K) 4.
template <int K, int V, int group, bool channels, bool delta>
__global__ void __launch_bounds__(recurrences::threads_for(V)) recurrence_value_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const float* __restrict__ logDecays,
    const float* __restrict__ betas, const int32_t* __restrict__ starts, const float* __restrict__ errors,
    const bf16* __restrict__ gradient, const float* __restrict__ from, float* __restrict__ to,
    bf16* __restrict__ vGradient, float* __restrict__ writes, float* __restrict__ betasGradient, int tokens, float scale
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
    float adjoint[share];
    load_own<K>(adjoint, from, head * K * V + column, V, active);
    for (int t = tokens - 1; t >= 0; t--) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        __syncthreads();
        load<K>(key, k + place * K);
        load<group * K>(query, q + place * group * K, scale);
        load_decays<K, channels>(keep, logDecays, place);
        __syncthreads();
        for (int g = 0; g < group; g++) {
            const float y = active ? to_float(gradient[(place * group + g) * V + column]) : 0.0f;
#pragma unroll
            for (int r = 0; r < share; r++) {
                const int i = part + r * parts;
                if (i < K) adjoint[r] += query[g * K + i] * y;
            }
        }
        float z = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (i < K) z += key[i] * adjoint[r];
        }
        z = shared_sum(z);
        if (delta) {
            const float sum = block_sum(active && part == 0 ? z * errors[place * V + column] : 0.0f);
            if (threadIdx.x == 0) betasGradient[place] = sum;
            z *= betas[place];
        }
        if (active && part == 0) {
            vGradient[place * V + column] = to_bf16(z);
            if (delta) writes[place * V + column] = z;
        }
        const bool begin = begins(starts, row, t);
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (i < K) adjoint[r] = begin ? 0.0f : (adjoint[r] - (delta ? key[i] * z : 0.0f)) * keep[i];
        }
    }
    store_own<K>(adjoint, to, head * K * V + column, V, active);
}

/// dq (B, T, H, K), then in float32 what a delta rule's keys get as readers, `recalls` (B, T, N, K), what readers of a
/// token get from before it, times themselves, `got` (B, T, N, K), and the rows `sums` (B, N, K) of the final state times
/// its gradient, or zeros. `values` are v, or w of a delta rule.
/// Grid (N, B), block threads_for(K), shared ((2 + group) V) 4.
template <int K, int V, int group, bool channels, bool delta, typename Value>
__global__ void __launch_bounds__(recurrences::threads_for(K)) recurrence_reader_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const Value* __restrict__ values,
    const float* __restrict__ logDecays, const float* __restrict__ betas, const int32_t* __restrict__ starts,
    const float* __restrict__ from, const float* __restrict__ finalGradient, const bf16* __restrict__ gradient,
    const float* __restrict__ writes, bf16* __restrict__ qGradient, float* __restrict__ recalls,
    float* __restrict__ got, float* __restrict__ sums, int tokens, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    float* u = reinterpret_cast<float*>(memory);  // (V)
    float* z = u + V;                             // (V)
    float* y = z + V;                             // (group, V), scaled
    constexpr int share = share_of(V);
    const int channel = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = channel < K;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float state[share];
    load_own<V>(state, from, (head * K + channel) * V, 1, active);
    for (int t = 0; t < tokens; t++) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        __syncthreads();
        load<V>(u, values + place * V, delta ? betas[place] : 1.0f);
        if (delta) load<V>(z, writes + place * V);
        load<group * V>(y, gradient + place * group * V, scale);
        __syncthreads();
        const bool begin = begins(starts, row, t);
        const float a = active && !begin ? expf(logDecays[channels ? place * K + channel : place]) : 0.0f;
        const float key = active ? to_float(k[place * K + channel]) : 0.0f;
        float recall = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int j = part + r * parts;
            state[r] *= a;
            if (delta && j < V) recall -= state[r] * z[j];
        }
        float reached = 0.0f;
        if (delta) {
            recall = shared_sum(recall);
            reached = key * recall;
            if (active && part == 0) recalls[place * K + channel] = recall;
        }
        for (int g = 0; g < group; g++) {
            float before = 0.0f, own = 0.0f;
#pragma unroll
            for (int r = 0; r < share; r++) {
                const int j = part + r * parts;
                if (j < V) before += state[r] * y[g * V + j], own += u[j] * y[g * V + j];
            }
            before = shared_sum(before);
            own = shared_sum(own);
            if (!active) continue;
            const int64_t query = (place * group + g) * K + channel;
            reached += to_float(q[query]) * before;
            if (part == 0) qGradient[query] = to_bf16(before + key * own);
        }
        if (active && part == 0) got[place * K + channel] = reached;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int j = part + r * parts;
            if (j < V) state[r] += key * u[j];
        }
    }
    float sum = 0.0f;
#pragma unroll
    for (int r = 0; r < share; r++) {
        const int j = part + r * parts;
        if (active && j < V && finalGradient != nullptr) sum += state[r] * finalGradient[(head * K + channel) * V + j];
    }
    sum = shared_sum(sum);
    if (active && part == 0) sums[head * K + channel] = sum;
}

/// dk (B, T, N, K) and the gradient of the log decays (B, T, N, K or 1) from what recurrence_reader_gradients left.
/// Grid (N, B), block threads_for(K), shared ((2 + group) V) 4.
template <int K, int V, int group, bool channels, bool delta, typename Value>
__global__ void __launch_bounds__(recurrences::threads_for(K)) recurrence_key_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const Value* __restrict__ values,
    const float* __restrict__ logDecays, const float* __restrict__ betas, const int32_t* __restrict__ starts,
    const float* __restrict__ finalGradient, const bf16* __restrict__ gradient, const float* __restrict__ writes,
    const float* __restrict__ recalls, const float* __restrict__ got, const float* __restrict__ sums,
    bf16* __restrict__ kGradient, float* __restrict__ logDecaysGradient, int tokens, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    float* u = reinterpret_cast<float*>(memory);  // (V)
    float* z = u + V;                             // (V)
    float* y = z + V;                             // (group, V), scaled
    constexpr int share = share_of(V);
    const int channel = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = channel < K;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float adjoint[share];
    load_own<V>(adjoint, finalGradient, (head * K + channel) * V, 1, active);
    float reaching = active ? sums[head * K + channel] : 0.0f;
    for (int t = tokens - 1; t >= 0; t--) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        __syncthreads();
        load<V>(u, values + place * V, delta ? betas[place] : 1.0f);
        if (delta) load<V>(z, writes + place * V);
        load<group * V>(y, gradient + place * group * V, scale);
        __syncthreads();
        const bool begin = begins(starts, row, t);
        const float a = active && !begin ? expf(logDecays[channels ? place * K + channel : place]) : 0.0f;
        const float key = active ? to_float(k[place * K + channel]) : 0.0f;
        float later = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int j = part + r * parts;
            if (j < V) later += adjoint[r] * u[j];
        }
        later = shared_sum(later);
        float own = 0.0f;
        for (int g = 0; g < group; g++) {
            const float query = active ? to_float(q[(place * group + g) * K + channel]) : 0.0f;
#pragma unroll
            for (int r = 0; r < share; r++) {
                const int j = part + r * parts;
                if (j >= V) continue;
                own += query * y[g * V + j] * u[j];
                adjoint[r] += query * y[g * V + j];
            }
        }
        own = shared_sum(own);
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int j = part + r * parts;
            if (j < V) adjoint[r] = a * (adjoint[r] - (delta ? key * z[j] : 0.0f));
        }
        // The difference is below its own rounding where a is below that of 1.
        if (active) reaching = got[place * K + channel] + (a > 2.98e-8f ? reaching - key * later : 0.0f);
        if (active && part == 0) {
            const float recall = delta ? recalls[place * K + channel] : 0.0f;
            kGradient[place * K + channel] = to_bf16(later + own + recall);
            if (channels) logDecaysGradient[place * K + channel] = reaching;
        }
        if (!channels) {
            const float sum = block_sum(active && part == 0 ? reaching : 0.0f);
            if (threadIdx.x == 0) logDecaysGradient[place] = sum;
        }
    }
}
