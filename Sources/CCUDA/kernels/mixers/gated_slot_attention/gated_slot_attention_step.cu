// One token of Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146) for each of R sequences, for decoding.
#include "eight.cuh"
#include "gated_slot_attention.cuh"

namespace gated_slots {

/// The greatest power of two, at most 32, that divides n.
constexpr int power_of_two_in(int n) { return (n & -n) < 32 ? n & -n : 32; }

__device__ inline float4 updated(float4 x, float4 y, float s) {
    return make_float4(x.x + s * (y.x - x.x), x.y + s * (y.y - x.y), x.z + s * (y.z - x.z), x.w + s * (y.w - x.w));
}

constexpr int step_threads = 256;

__device__ inline float log_gate(float gate, float) { return gate; }
__device__ inline float log_gate(bf16 x, float divisor) { return log_sigmoid(to_float(x)) / divisor; }

}  // namespace gated_slots

/// With s = 1 - exp(log gate): Kt += s ⊗ (k - Kt), Vt += s ⊗ (v - Vt), o = Vtᵀ softmax(scale · Kt q), Kt (R, N, M, K) and Vt
/// (R, N, M, V) in place; q (R, H, K), k (R, N, K), v (R, N, V), o (R, H, V), H = N · group. `gates` (R, N, M) are log gates,
/// float32, or bfloat16 x of which logsigmoid(x) / divisor is the log gate. Each state is read and written once. K and V are
/// multiples of 16.
/// Grid (N, R), block 256, shared ((group + 1) K + V + (group + 1) M + 1024 group) 4.
template <int K, int V, int M, int group, typename Gate>
__global__ void __launch_bounds__(gated_slots::step_threads) gsa_step(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v, const Gate* __restrict__ gates,
    float* __restrict__ keys, float* __restrict__ values, bf16* __restrict__ o, float scale, float divisor
) {
    using namespace gated_slots;
    constexpr int threads = step_threads;
    SHARED_MEMORY(memory);
    float* query = reinterpret_cast<float*>(memory);  // (group, K)
    float* key = query + group * K;                   // (K)
    float* value = key + K;                           // (V)
    float* sums = value + V;                          // (lines, group, V)
    float* writes = sums + 4 * threads * group;       // (M): s
    float* weights = writes + M;                      // (group, M): logits, then their softmax
    const int thread = threadIdx.x;
    const int64_t head = static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;

    // A value's column and lines of slots are one thread's. Its part of the state, where small, is on its way while the keys
    // are read.
    constexpr int columns = V / 4, lines = threads / columns, rounds = (M + lines - 1) / lines;
    constexpr bool early = rounds <= 8;
    const int column = thread % columns, line = thread / columns;
    float4* state = reinterpret_cast<float4*>(values + head * M * V) + column;
    float4 held[early ? rounds : 1];
    if constexpr (early) {
#pragma unroll
        for (int i = 0; i < rounds; i++) {
            if (line < lines && line + i * lines < M) held[i] = state[(line + i * lines) * columns];
        }
    }

    for (int i = thread; i < group * K; i += threads) query[i] = to_float(q[head * group * K + i]);
    for (int i = thread; i < K; i += threads) key[i] = to_float(k[head * K + i]);
    for (int i = thread; i < V; i += threads) value[i] = to_float(v[head * V + i]);
    for (int m = thread; m < M; m += threads) writes[m] = written(log_gate(gates[head * M + m], divisor));
    __syncthreads();

    // A row of keys is read by `lanes` neighbours, `parts` times 16 bytes each.
    constexpr int lanes = power_of_two_in(K / 4), parts = K / 4 / lanes;
#pragma unroll 4
    for (int m = thread / lanes; m < (M + 32 / lanes - 1) / (32 / lanes) * (32 / lanes); m += threads / lanes) {
        float dots[group] = {};
        float4* row = reinterpret_cast<float4*>(keys + (head * M + m) * K);
#pragma unroll
        for (int part = 0; part < parts && m < M; part++) {
            const int i = part * lanes + thread % lanes;
            const float4 x = updated(row[i], reinterpret_cast<const float4*>(key)[i], writes[m]);
            row[i] = x;
#pragma unroll
            for (int g = 0; g < group; g++) {
                const float4 y = reinterpret_cast<const float4*>(query + g * K)[i];
                dots[g] += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
            }
        }
#pragma unroll
        for (int g = 0; g < group; g++) {
#pragma unroll
            for (int mask = lanes / 2; mask > 0; mask /= 2) dots[g] += shuffle_xor(dots[g], mask);
            if (thread % lanes == 0 && m < M) weights[g * M + m] = scale * dots[g];
        }
    }
    __syncthreads();

    for (int g = thread / 32; g < group; g += threads / 32) {
        float largest = -INFINITY_F, sum = 0.0f;
        for (int m = lane_index(); m < M; m += 32) largest = fmaxf(largest, weights[g * M + m]);
        largest = warp_max(largest);
        for (int m = lane_index(); m < M; m += 32) {
            const float x = exp_fast(weights[g * M + m] - largest);
            weights[g * M + m] = x;
            sum += x;
        }
        sum = warp_sum(sum);
        for (int m = lane_index(); m < M; m += 32) weights[g * M + m] /= sum;
    }
    __syncthreads();

    if (line < lines) {
        float4 out[group] = {};
        const float4 input = reinterpret_cast<const float4*>(value)[column];
#pragma unroll (early ? rounds : 4)
        for (int i = 0; i < rounds; i++) {
            const int m = line + i * lines;
            if (m >= M) continue;
            const float4 x = updated(early ? held[early ? i : 0] : state[m * columns], input, writes[m]);
            state[m * columns] = x;
#pragma unroll
            for (int g = 0; g < group; g++) {
                const float p = weights[g * M + m];
                out[g].x += p * x.x, out[g].y += p * x.y, out[g].z += p * x.z, out[g].w += p * x.w;
            }
        }
#pragma unroll
        for (int g = 0; g < group; g++) reinterpret_cast<float4*>(sums)[(line * group + g) * columns + column] = out[g];
    }
    __syncthreads();
    for (int i = thread; i < group * V; i += threads) {
        float sum = 0.0f;
        for (int part = 0; part < lines; part++) sum += sums[part * group * V + i];
        o[head * group * V + i] = to_bf16(sum);
    }
}
