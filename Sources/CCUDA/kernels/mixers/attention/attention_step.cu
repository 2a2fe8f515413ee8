// Softmax attention of one new token per sequence over its ring-buffer cache: bound by reading the cache once, for all the
// query heads that share it.
#include "attention.cuh"
#include "eight.cuh"
#include "ring.cuh"

namespace attention::decoding {

constexpr int threads = 256, warps = threads / 32;

/// Lanes that share a key, eight dimensions each: a power of two, so that they can sum by shuffles.
__device__ constexpr int lanes_per_key(int dim) {
    int lanes = 1;
    while (lanes * 8 < dim) lanes *= 2;
    return lanes;
}

/// The factor of sums of exponentials relative to `peak` when they become relative to `larger`; 1 for two empty sums.
__device__ inline float correction(float peak, float larger) { return peak == larger ? 1.0f : exp_fast(peak - larger); }

/// Sums over some of the keys: the output's dimensions, unnormalised, then the largest score, then the exponentials' sum.
template <int dim> constexpr int sums_size = dim + 2;

/// An element of head `head` after mixing; see below.
__device__ inline bf16 mixed(float x, const bf16* other, const bf16* shares, int64_t head, int64_t at) {
    if (!other) return to_bf16(x);
    const float w = sigmoid(to_float(shares[head]));
    return to_bf16(w * x + (1.0f - w) * to_float(other[at]));
}

struct Merged { float value, peak, sum; };
/// One column of `count` such sums, `stride` floats apart, as one.
template <int dim> __device__ Merged merge(const float* sums, int count, int stride, int column) {
    Merged all = {0.0f, -INFINITY_F, 0.0f};
    for (int i = 0; i < count; i++) all.peak = fmaxf(all.peak, sums[i * stride + dim]);
    for (int i = 0; i < count; i++) {
        const float factor = correction(sums[i * stride + dim], all.peak);
        all.value += factor * sums[i * stride + column];
        all.sum += factor * sums[i * stride + dim + 1];
    }
    return all;
}

}  // namespace attention::decoding

/// Writes the new k and v (R, N, K) to the places of the rows' positions (R) in the caches (R, N, W, K), which then hold the
/// first `sinks` positions and the last W - sinks of the others, and attends over them with q (R, H, K), or over the sinks, with
/// `has_sink_queries`, with `sink_q`: o (R, H, K).
/// With `has_cap`, scores go through cap · tanh(score / cap). Where `other` (R, H, K) is given, o is w · that + (1 - w) · other with
/// w = sigmoid(share), one for each head (R, H).
/// Each of `gridDim.x` parts of the slots is a block's; of several, it writes to `partial`, (R, N, parts, G, K + 2)
/// float32, the unnormalised output, the maximum and the sum, for `attention_step_combine`. K ≤ 256.
/// Grid (parts, N, R), block 256, shared 32 G (K + 2).
template <int dim, int group, bool has_sink_queries, bool has_cap = false>
__global__ void __launch_bounds__(attention::decoding::threads) attention_step(
    const bf16* q, const bf16* k, const bf16* v, bf16* k_cache, bf16* v_cache, const int32_t* positions, bf16* o,
    float* partial, int capacity, int sinks, const bf16* sink_q, const bf16* other,
    const bf16* shares, float scale, float cap
) {
    using namespace attention::decoding;
    constexpr int lanes = lanes_per_key(dim), keys_at_once = threads / lanes, ahead = 4, size = sums_size<dim>;
    SHARED_MEMORY(shared);
    float* warp_sums = reinterpret_cast<float*>(shared);   // (warps, group, size)

    const int64_t source = static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y;
    bf16* k_rows = k_cache + source * capacity * dim;
    bf16* v_rows = v_cache + source * capacity * dim;
    const int position = positions[blockIdx.z];
    const int slot = ring_place(position, capacity, sinks), filled = min(position + 1, capacity);
    const int part = (filled + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * part, end = min(begin + part, filled);
    if (begin <= slot && slot < end) {
        for (int i = threadIdx.x; i < dim; i += threads) {
            k_rows[static_cast<int64_t>(slot) * dim + i] = k[source * dim + i];
            v_rows[static_cast<int64_t>(slot) * dim + i] = v[source * dim + i];
        }
    }
    __syncthreads();

    const int own = threadIdx.x % lanes * 8;
    float query[group][8], out[group][8] = {}, peaks[group], sums[group] = {};
#pragma unroll
    for (int head = 0; head < group; head++) peaks[head] = -INFINITY_F;
    // The sinks with queries of their own, then the others; or all as one.
#pragma unroll 1
    for (int stretch = has_sink_queries ? 0 : 1; stretch < 2; stretch++) {
        const int from = has_sink_queries && stretch == 1 ? max(begin, sinks) : begin;
        const int to = has_sink_queries && stretch == 0 ? min(end, sinks) : end;
        const bf16* queries = has_sink_queries && stretch == 0 ? sink_q : q;
#pragma unroll
        for (int head = 0; head < group; head++) {
            const attention::Part<dim> part(queries + (source * group + head) * dim, own);
            for (int i = 0; i < 8; i++) query[head][i] = part[i] * scale;
        }
        // All lanes of a warp go round as often, for the shuffles.
        for (int first = from; first < to; first += ahead * keys_at_once) {
            const int first_key = first + threadIdx.x / lanes;
            attention::Part<dim> key_parts[ahead], value_parts[ahead];
#pragma unroll
            for (int i = 0; i < ahead; i++) {
                const int64_t row = static_cast<int64_t>(min(first_key + i * keys_at_once, to - 1)) * dim;
                key_parts[i] = attention::Part<dim>(k_rows + row, own);
                value_parts[i] = attention::Part<dim>(v_rows + row, own);
            }
#pragma unroll
            for (int i = 0; i < ahead; i++) {
                const bool valid = first_key + i * keys_at_once < to;
#pragma unroll
                for (int head = 0; head < group; head++) {
                    float score = 0.0f;
                    for (int x = 0; x < 8; x++) score += query[head][x] * key_parts[i][x];
                    for (int mask = lanes / 2; mask > 0; mask /= 2) score += shuffle_xor(score, mask);
                    if constexpr (has_cap) score = capped(score, cap);
                    const float peak = valid ? fmaxf(peaks[head], score) : peaks[head];
                    const float factor = correction(peaks[head], peak), weight = valid ? exp_fast(score - peak) : 0.0f;
                    peaks[head] = peak;
                    sums[head] = sums[head] * factor + weight;
                    for (int x = 0; x < 8; x++) out[head][x] = out[head][x] * factor + weight * value_parts[i][x];
                }
            }
        }
    }

    // The keys of a warp's lanes, then of the warps.
#pragma unroll
    for (int head = 0; head < group; head++) {
        for (int mask = lanes; mask < 32; mask *= 2) {
            const float peak = fmaxf(peaks[head], shuffle_xor(peaks[head], mask));
            const float factor = correction(peaks[head], peak);
            peaks[head] = peak;
            sums[head] *= factor;
            sums[head] += shuffle_xor(sums[head], mask);
            for (int i = 0; i < 8; i++) {
                out[head][i] *= factor;
                out[head][i] += shuffle_xor(out[head][i], mask);
            }
        }
        float* to = warp_sums + (threadIdx.x / 32 * group + head) * size;
        if (threadIdx.x % 32 < lanes)
            for (int i = 0; i < 8 && own + i < dim; i++) to[own + i] = out[head][i];
        if (threadIdx.x % 32 == 0) {
            to[dim] = peaks[head];
            to[dim + 1] = sums[head];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < group * dim; i += threads) {
        const int head = i / dim, column = i % dim;
        const Merged all = merge<dim>(warp_sums + head * size, warps, group * size, column);
        if (gridDim.x == 1) {
            o[source * group * dim + i] =
                mixed(all.value / all.sum, other, shares, source * group + head, source * group * dim + i);
            continue;
        }
        float* to = partial + ((source * gridDim.x + blockIdx.x) * group + head) * size;
        to[column] = all.value;
        if (column == 0) {
            to[dim] = all.peak;
            to[dim + 1] = all.sum;
        }
    }
}

/// o (R, H, K) from the `parts` of `attention_step`, which it is mixed as. Grid (G, N, R), block 32 ⌈K / 32⌉.
template <int dim, int group>
__global__ void attention_step_combine(
    const float* partial, bf16* o, const bf16* other, const bf16* shares, int parts) {
    using namespace attention::decoding;
    const int64_t source = static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y;
    const int head = blockIdx.x, column = threadIdx.x;
    if (column >= dim) return;
    const float* sums = partial + (source * parts * group + head) * sums_size<dim>;
    const Merged all = merge<dim>(sums, parts, group * sums_size<dim>, column);
    const int64_t at = (source * group + head) * dim + column;
    o[at] = mixed(all.value / all.sum, other, shares, source * group + head, at);
}
