// The generalised delta rule of RWKV-7 (arXiv 2503.14456), per key/value head and token t, with w = exp(log decay):
//
//     u_t = S_{t-1}ᵀ a_t      S_t = Diag(w_t) S_{t-1} + b_t u_tᵀ + k_t v_tᵀ      o_t = scale · S_tᵀ q_t
//
// and its gradients, with the adjoint D of S_t, to which o_t gives scale · q_t do_tᵀ, and du_t = D_tᵀ b_t:
//
//     dv = Dᵀ k    dq = scale · S_t do    da = S_{t-1} du    dk = D v    db = D u    D ← w ⊙ D + a duᵀ
//
// The gradient of log w_t is what reaches the state after t, the sums c_t of its rows times those of their adjoint, less what
// t has written: c_t + Σ q ⊙ dq - b ⊙ db - k ⊙ dk; and c_{t-1} is that and a ⊙ da. States go
// forwards, adjoints backwards, so that no state is kept.
#include "recurrence.cuh"

namespace recurrences {

/// What columns of the state see of a token, in shared memory.
template <int K, int group> struct KeyRows {
    float *key, *keep, *read, *write;  // (K) each: k, w, a, b
    float* query;                      // (group, K), scaled

    __device__ explicit KeyRows(unsigned char* memory)
        : key(reinterpret_cast<float*>(memory)), keep(key + K), read(keep + K), write(read + K), query(write + K) {}

    /// Of the token at `place`, between two barriers.
    __device__ void load_token(
        const bf16* q, const bf16* k, const float* logDecays, const bf16* a, const bf16* b, int64_t place, float scale
    ) const {
        __syncthreads();
        load<K>(key, k + place * K);
        load<K>(read, a + place * K);
        load<K>(write, b + place * K);
        load<group * K>(query, q + place * group * K, scale);
        load_decays<K, true>(keep, logDecays, place);
        __syncthreads();
    }
};

/// What rows of the state see of a token.
template <int V, int group> struct ValueRows {
    float *u, *du, *value;  // (V) each
    float* y;               // (group, V): do, scaled

    __device__ explicit ValueRows(unsigned char* memory)
        : u(reinterpret_cast<float*>(memory)), du(u + V), value(du + V), y(value + V) {}

    __device__ void load_token(
        const float* recalled, const float* recalledGradient, const bf16* v, const bf16* gradient, int64_t place, float scale
    ) const {
        __syncthreads();
        load<V>(u, recalled + place * V);
        load<V>(du, recalledGradient + place * V);
        load<V>(value, v + place * V);
        load<group * V>(y, gradient + place * group * V, scale);
        __syncthreads();
    }
};

}  // namespace recurrences

/// o (B, T, H, V) from q (B, T, H, K), k, a, b (B, T, N, K), v (B, T, N, V), logDecays (B, T, N, K) and the state `from`
/// (B, N, K, V), or null for zeros, whose successor goes `to`, unless null; the two may be one. Unless null, `recalled`
/// (B, T, N, V) gets u. H = N · group.
/// Grid (N, B), block threads_for(V), shared ((group + 4) K) 4.
template <int K, int V, int group>
__global__ void __launch_bounds__(recurrences::threads_for(V)) general_delta_outputs(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
    const float* __restrict__ logDecays, const bf16* __restrict__ a, const bf16* __restrict__ b,
    const int32_t* __restrict__ starts, const float* from, float* to, bf16* __restrict__ o,
    float* __restrict__ recalled, int tokens, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    const KeyRows<K, group> token(memory);
    constexpr int share = share_of(K);
    const int column = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = column < V;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float state[share];
    load_own<K>(state, from, head * K * V + column, V, active);
    for (int t = 0; t < tokens; t++) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        token.load_token(q, k, logDecays, a, b, place, scale);
        const bool begin = begins(starts, row, t);
        float u = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (begin) state[r] = 0.0f;
            if (i < K) u += token.read[i] * state[r];
        }
        u = shared_sum(u);
        if (active && part == 0 && recalled != nullptr) recalled[place * V + column] = u;
        const float value = active ? to_float(v[place * V + column]) : 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (i < K) state[r] = token.keep[i] * state[r] + token.write[i] * u + token.key[i] * value;
        }
        read_column<K, V, group>(o, token.query, state, place, column, active);
    }
    store_own<K>(state, to, head * K * V + column, V, active);
}

/// dv (B, T, N, V) and du (B, T, N, V) in float32, from do (B, T, H, V) and the gradient `from` of the final state, or null; that
/// of the initial one goes `to`, unless null.
/// Grid (N, B), block threads_for(V), shared ((group + 4) K) 4.
template <int K, int V, int group>
__global__ void __launch_bounds__(recurrences::threads_for(V)) general_delta_value_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const float* __restrict__ logDecays,
    const bf16* __restrict__ a, const bf16* __restrict__ b, const int32_t* __restrict__ starts,
    const bf16* __restrict__ gradient, const float* __restrict__ from, float* __restrict__ to,
    bf16* __restrict__ vGradient, float* __restrict__ recalledGradient, int tokens, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    const KeyRows<K, group> token(memory);
    constexpr int share = share_of(K);
    const int column = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = column < V;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float adjoint[share];
    load_own<K>(adjoint, from, head * K * V + column, V, active);
    for (int t = tokens - 1; t >= 0; t--) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        token.load_token(q, k, logDecays, a, b, place, scale);
        for (int g = 0; g < group; g++) {
            const float y = active ? to_float(gradient[(place * group + g) * V + column]) : 0.0f;
#pragma unroll
            for (int r = 0; r < share; r++) {
                const int i = part + r * parts;
                if (i < K) adjoint[r] += token.query[g * K + i] * y;
            }
        }
        float dv = 0.0f, du = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (i < K) dv += token.key[i] * adjoint[r], du += token.write[i] * adjoint[r];
        }
        dv = shared_sum(dv);
        du = shared_sum(du);
        const bool begin = begins(starts, row, t);
        if (active && part == 0) {
            vGradient[place * V + column] = to_bf16(dv);
            recalledGradient[place * V + column] = begin ? 0.0f : du;
        }
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int i = part + r * parts;
            if (i < K) adjoint[r] = begin ? 0.0f : token.keep[i] * adjoint[r] + token.read[i] * du;
        }
    }
    store_own<K>(adjoint, to, head * K * V + column, V, active);
}

/// dq (B, T, H, K) and da (B, T, N, K), then in float32 Σ q ⊙ dq `readers` and a ⊙ da `recalls` (B, T, N, K), and the rows `sums`
/// (B, N, K) of the final state times its gradient, or zeros.
/// Grid (N, B), block threads_for(K), shared ((3 + group) V) 4.
template <int K, int V, int group>
__global__ void __launch_bounds__(recurrences::threads_for(K)) general_delta_reader_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
    const float* __restrict__ logDecays, const bf16* __restrict__ a, const bf16* __restrict__ b,
    const int32_t* __restrict__ starts, const float* __restrict__ from, const float* __restrict__ finalGradient,
    const bf16* __restrict__ gradient, const float* __restrict__ recalled, const float* __restrict__ recalledGradient,
    bf16* __restrict__ qGradient, bf16* __restrict__ aGradient, float* __restrict__ readers,
    float* __restrict__ recalls, float* __restrict__ sums, int tokens, float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    const ValueRows<V, group> token(memory);
    constexpr int share = share_of(V);
    const int channel = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = channel < K;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float state[share];
    load_own<V>(state, from, (head * K + channel) * V, 1, active);
    for (int t = 0; t < tokens; t++) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        token.load_token(recalled, recalledGradient, v, gradient, place, scale);
        const bool begin = begins(starts, row, t);
        const int64_t own = place * K + channel;
        const float w = active && !begin ? expf(logDecays[own]) : 0.0f;
        const float key = active ? to_float(k[own]) : 0.0f, write = active ? to_float(b[own]) : 0.0f;
        float da = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int j = part + r * parts;
            if (j >= V) continue;
            da += state[r] * token.du[j];
            state[r] = w * state[r] + write * token.u[j] + key * token.value[j];
        }
        da = shared_sum(da);
        if (begin) da = 0.0f;
        float read = 0.0f;
        for (int g = 0; g < group; g++) {
            float dq = 0.0f;
#pragma unroll
            for (int r = 0; r < share; r++) {
                const int j = part + r * parts;
                if (j < V) dq += state[r] * token.y[g * V + j];
            }
            dq = shared_sum(dq);
            if (!active) continue;
            const int64_t query = (place * group + g) * K + channel;
            read += to_float(q[query]) * dq;
            if (part == 0) qGradient[query] = to_bf16(dq);
        }
        if (active && part == 0) {
            aGradient[own] = to_bf16(da);
            readers[own] = read;
            recalls[own] = to_float(a[own]) * da;
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

/// dk, db and the gradient of the log decays, (B, T, N, K) each, from what general_delta_reader_gradients left.
/// Grid (N, B), block threads_for(K), shared ((3 + group) V) 4.
template <int K, int V, int group>
__global__ void __launch_bounds__(recurrences::threads_for(K)) general_delta_key_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v,
    const float* __restrict__ logDecays, const bf16* __restrict__ a, const bf16* __restrict__ b,
    const int32_t* __restrict__ starts, const float* __restrict__ finalGradient, const bf16* __restrict__ gradient,
    const float* __restrict__ recalled, const float* __restrict__ recalledGradient,
    const float* __restrict__ readers, const float* __restrict__ recalls, const float* __restrict__ sums,
    bf16* __restrict__ kGradient, bf16* __restrict__ bGradient, float* __restrict__ logDecaysGradient, int tokens,
    float scale
) {
    using namespace recurrences;
    SHARED_MEMORY(memory);
    const ValueRows<V, group> token(memory);
    constexpr int share = share_of(V);
    const int channel = threadIdx.x / parts, part = threadIdx.x % parts;
    const bool active = channel < K;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
    float adjoint[share];
    load_own<V>(adjoint, finalGradient, (head * K + channel) * V, 1, active);
    float reaching = active ? sums[head * K + channel] : 0.0f;
    for (int t = tokens - 1; t >= 0; t--) {
        const int64_t row = static_cast<int64_t>(blockIdx.y) * tokens + t, place = row * gridDim.x + blockIdx.x;
        token.load_token(recalled, recalledGradient, v, gradient, place, scale);
        const bool begin = begins(starts, row, t);
        const int64_t own = place * K + channel;
        const float w = active && !begin ? expf(logDecays[own]) : 0.0f;
        const float key = active ? to_float(k[own]) : 0.0f, write = active ? to_float(b[own]) : 0.0f;
        const float read = active && !begin ? to_float(a[own]) : 0.0f;
        float dk = 0.0f, db = 0.0f;
#pragma unroll
        for (int r = 0; r < share; r++) {
            const int j = part + r * parts;
            if (j >= V) continue;
            for (int g = 0; g < group; g++) {
                const float query = active ? to_float(q[(place * group + g) * K + channel]) : 0.0f;
                adjoint[r] += query * token.y[g * V + j];
            }
            dk += adjoint[r] * token.value[j];
            db += adjoint[r] * token.u[j];
            adjoint[r] = w * adjoint[r] + read * token.du[j];
        }
        dk = shared_sum(dk);
        db = shared_sum(db);
        if (!active) continue;
        // The difference is below its own rounding where w is below that of 1.
        const float decay = w > 2.98e-8f ? reaching + readers[own] - key * dk - write * db : 0.0f;
        reaching = decay + recalls[own];
        if (part == 0) {
            kGradient[own] = to_bf16(dk);
            bGradient[own] = to_bf16(db);
            logDecaysGradient[own] = decay;
        }
    }
}
