// Gated Slot Attention forward (Zhang et al. 2024, arXiv 2409.07146), in chunks of C tokens. Per key/value head and token,
// with a = exp(log gate), s = 1 - a, and for each of the G query heads of the group:
//
//     Kt_t = a ⊙ Kt_{t-1} + s ⊗ k_t        Vt_t = a ⊙ Vt_{t-1} + s ⊗ v_t        o_t = Vt_tᵀ softmax(scale · Kt_t q_t)
//
// Three kernels: what every chunk's tokens write (`gsa_chunk_writes`), the states before every chunk (`gsa_scan_states`), the
// outputs (`gsa_outputs`). K and V are multiples of 16, C one of 16, 32, 64; M is any number of slots, P = M rounded up to 16.
// `states` (B, N, chunks, P, K + V) is bfloat16; running states and sums are float32.
#include "gated_slot_attention.cuh"

namespace gated_slots {

/// Columns of the widest products that cut `width` evenly, at most 64.
constexpr int column_slice(int width) { return width % 64 == 0 ? 64 : width % 32 == 0 ? 32 : 16; }

}  // namespace gated_slots

/// writes[m] = Σ_j exp(F_C - F_j)[m] s_j[m] [k_j | v_j], what a chunk alone would leave in the state, (B, N, chunks, P, K + V),
/// and keeps = exp(F_C), (B, N, chunks, P), 0 where the last token's document began in the chunk.
/// Grid (chunks, N, B), block 256, shared C (K + V + 8) 2 + C (P + 8) 2 + C / 16 · P · 4.
template <int K, int V, int M, int C>
__global__ void __launch_bounds__(256) gsa_chunk_writes(
    const bf16* __restrict__ k, const bf16* __restrict__ v, const float* __restrict__ logGates, const int* __restrict__ starts,
    bf16* __restrict__ writes, float* __restrict__ keeps, int tokens
) {
    using namespace gated_slots;
    constexpr int P = padded_slots(M), X = K + V, row = tile_row(X), blocks = C / block_tokens, slice = column_slice(X);
    SHARED_MEMORY(memory);
    bf16* inputs = reinterpret_cast<bf16*>(memory);
    bf16* weights = inputs + C * row;
    float* totals = reinterpret_cast<float*>(weights + C * tile_row(P));

    const int heads = gridDim.y, begin = blockIdx.x * C, count = min(C, tokens - begin);
    const int64_t token = static_cast<int64_t>(blockIdx.z) * tokens + begin, at = token * heads + blockIdx.y;
    copy_tile<K>(inputs, row, k + at * K, heads * K, C, count);
    copy_tile<V>(inputs + K, row, v + at * V, heads * V, C, count);
    copy_async_commit();
    const int start = starts ? starts[token + count - 1] : 0, first = start > 0 ? start - begin : -1;
    prepare_end<M, C, 256>(logGates + at * M, static_cast<int64_t>(heads) * M, count, first, totals, weights);
    copy_async_wait<0>();
    __syncthreads();

    const int64_t chunk = chunk_index();
    for (int m = threadIdx.x; m < P; m += blockDim.x) {
        float sum = 0.0f;
        for (int block = 0; block < blocks; block++) sum += totals[block * P + m];
        keeps[chunk * P + m] = first < 0 ? exp_flushed(sum) : 0.0f;
    }
    for (int task = threadIdx.x / 32; task < P / 16 * (X / slice); task += blockDim.x / 32) {
        const int m = task / (X / slice) * 16, column = task % (X / slice) * slice;
        float sum[slice / 8][4];
        clear(sum);
#pragma unroll
        for (int j = 0; j < C; j += 16) {
            uint32_t a[1][4];
            load_matrix_x4_transposed(a[0], crossed(weights + j * tile_row(P) + m, tile_row(P)));
            add_product(sum, a, inputs + j * row + column, row);
        }
        store_rows(writes + (chunk * P + m) * X + column, X, 16, sum);
    }
}

/// The state before every chunk, in the place of what the chunk writes: S_{c+1} = keeps_c ⊙ S_c + writes_c, from the initial
/// states keys (B, N, M, K) and values (B, N, M, V) or from 0 where null, to the final ones unless null. `reversed`, the
/// gradient of the state after every chunk: from the last chunk to the first, "initial" being the gradient of the final state
/// and "final" that of the initial.
/// Grid (⌈P (K + V) / 8 / 128⌉, N, B), block 128.
template <int K, int V, int M, bool reversed>
__global__ void __launch_bounds__(128) gsa_scan_states(
    bf16* __restrict__ states, const float* __restrict__ keeps, const float* __restrict__ initialKeys,
    const float* __restrict__ initialValues, float* __restrict__ finalKeys, float* __restrict__ finalValues, int chunks
) {
    using namespace gated_slots;
    constexpr int P = padded_slots(M), X = K + V, ahead = 8;
    const int item = blockIdx.x * 128 + threadIdx.x, m = item / (X / 8), column = item % (X / 8) * 8;
    if (m >= P) return;
    const int64_t head = static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y;
    const bool key = column < K;
    const int64_t place = key ? (head * M + m) * K + column : (head * M + m) * V + column - K;
    const float* from = key ? initialKeys : initialValues;
    float* to = key ? finalKeys : finalValues;
    float state[8];
    for (int i = 0; i < 8; i++) state[i] = from && m < M ? from[place + i] : 0.0f;

    bf16* rows = states + (head * chunks * P + m) * X + column;
    const float* factors = keeps + head * chunks * P + m;
    for (int done = 0; done < chunks; done += ahead) {
        uint4 written[ahead];
        float factor[ahead];
#pragma unroll
        for (int i = 0; i < ahead; i++) {
            const int chunk = reversed ? chunks - 1 - done - i : done + i;
            if (done + i >= chunks) continue;
            written[i] = *reinterpret_cast<const uint4*>(rows + static_cast<int64_t>(chunk) * P * X);
            factor[i] = factors[static_cast<int64_t>(chunk) * P];
        }
#pragma unroll
        for (int i = 0; i < ahead; i++) {
            const int chunk = reversed ? chunks - 1 - done - i : done + i;
            if (done + i >= chunks) continue;
            store_16_bytes(
                rows + static_cast<int64_t>(chunk) * P * X,
                make_uint4(
                    pack_bf16(state[0], state[1]), pack_bf16(state[2], state[3]), pack_bf16(state[4], state[5]),
                    pack_bf16(state[6], state[7])));
            const uint32_t words[4] = {written[i].x, written[i].y, written[i].z, written[i].w};
#pragma unroll
            for (int pair = 0; pair < 4; pair++) {
                state[2 * pair] = factor[i] * state[2 * pair] + low_float(words[pair]);
                state[2 * pair + 1] = factor[i] * state[2 * pair + 1] + high_float(words[pair]);
            }
        }
    }
    if (!to || m >= M) return;
    for (int i = 0; i < 8; i++) to[place + i] = state[i];
}

namespace gated_slots {

/// Whether two warps share a block of tokens. With narrow heads a warp has one alone: decays, which both would compute, are much
/// of the work.
constexpr bool halved_outputs(int K, int V) { return K + V > 128; }

constexpr int outputs_shared(int K, int V, int M, int C) {
    const int P = padded_slots(M), between = halved_outputs(K, V) ? C * (P + 4) * 4 : 0;
    return (C + P) * tile_row(K + V) * 2 + between + C * tile_row(P) * 6 + C / 16 * P * 8 + C * 4;
}

/// o of a block of tokens and one head, by one warp. q: the fragments of its rows; o: the first row, `rows` apart, of which the
/// first `count` exist.
template <int K, int V, int M, int C>
__device__ inline void block_outputs(
    bf16* o, int64_t rows, int count, const uint32_t (&q)[K / 16][4], int block, const bf16* inputs, const bf16* state,
    const GateTables<M, C>& gates, float scale
) {
    constexpr int P = padded_slots(M), row = tile_row(K + V);
    const int* own = gates.first + block * block_tokens + lane_index() / 4;
    const int first[2] = {own[0], own[8]};
    float u[P / 8][4], out[V / 8][4];
    read_slots<K>(u, q, block, inputs, state, row, gates, first);
    scale_by_ratios(u, block, gates);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float p[P / 8][2];
#pragma unroll
        for (int n = 0; n < P / 8; n++) p[n][0] = u[n][half * 2], p[n][1] = u[n][half * 2 + 1];
        softmax_slots<M>(p, scale);
#pragma unroll
        for (int n = 0; n < P / 8; n++) u[n][half * 2] = p[n][0], u[n][half * 2 + 1] = p[n][1];
    }
    scale_by_ratios(u, block, gates);
    spread_slots<V>(out, u, block, inputs + K, state + K, row, gates, first);
    store_rows(o, rows, count, out);
}

}  // namespace gated_slots

/// o (B, T, H, V) of a chunk from the states before it. `halved_outputs`: of the group's heads one after the other; the two warps of
/// a block of tokens each have half the keys' columns, the softmax of half the tokens, and half the values' columns. Otherwise the
/// warps deal out the blocks of all heads.
/// Grid (chunks, N, B), block 4 C, or 2 C where one head is not halved, shared `outputs_shared`: (C + P) (K + V + 8) 2
/// + C (P + 8) 6 + C / 16 · P · 8 + C · 4, and if halved C (P + 4) 4.
template <int K, int V, int M, int C>
__global__ void __launch_bounds__(
    4 * C, gated_slots::blocks_fitting(gated_slots::outputs_shared(K, V, M, C))) gsa_outputs(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v, const float* __restrict__ logGates,
    const int* __restrict__ starts, const bf16* __restrict__ states, bf16* __restrict__ o, int tokens, int group, float scale
) {
    using namespace gated_slots;
    constexpr int P = padded_slots(M), X = K + V, row = tile_row(X), blocks = C / block_tokens, between_row = P + 4;
    constexpr bool halved = halved_outputs(K, V);
    constexpr int key_parts = halved && K % 32 == 0 ? 2 : 1, value_parts = V % 32 == 0 ? 2 : 1;
    constexpr int keys = K / key_parts, values = V / value_parts;
    SHARED_MEMORY(memory);
    bf16* inputs = reinterpret_cast<bf16*>(memory);
    bf16* state = inputs + C * row;
    float* between = reinterpret_cast<float*>(state + P * row);  // (C, between_row): from one warp to the other
    const GateTables<M, C> gates(reinterpret_cast<unsigned char*>(between + (halved ? C * between_row : 0)));

    const int heads = gridDim.y, begin = blockIdx.x * C, count = min(C, tokens - begin);
    const int64_t token = static_cast<int64_t>(blockIdx.z) * tokens + begin, at = token * heads + blockIdx.y;
    copy_tile<K>(inputs, row, k + at * K, heads * K, C, count);
    copy_tile<V>(inputs + K, row, v + at * V, heads * V, C, count);
    copy_tile<X>(state, row, states + chunk_index() * P * X, X, P, P);
    copy_async_commit();

    const int64_t rows = static_cast<int64_t>(heads) * group;
    uint32_t x[keys / 16][4];
    const auto line = [&](int own, int head) { return (token + own) * rows + blockIdx.y * group + head; };
    const auto prepare = [&] {
        gates.prepare(
            logGates + at * M, static_cast<int64_t>(heads) * M, starts ? starts + token : nullptr, begin, count);
        copy_async_wait<0>();
        __syncthreads();
    };

    if constexpr (!halved) {
        // The longest come first, and who had the longest next has the shortest.
        const int warp = threadIdx.x / 32, warps = blockDim.x / 32, tasks = group * blocks;
        const auto fetch = [&](int task) {
            const int own = (blocks - 1 - task / group) * block_tokens;
            fetch_rows<K>(x, q + line(own, task % group) * K, rows * K, count - own);
        };
        if (warp < tasks) fetch(warp);
        prepare();
        for (int task = warp, round = 1; task < tasks; round++) {
            const int block = blocks - 1 - task / group, own = block * block_tokens;
            block_outputs<K, V>(
                o + line(own, task % group) * V, rows * V, count - own, x, block, inputs, state, gates, scale);
            task = round * warps + (round % 2 == 0 ? warp : warps - 1 - warp);
            if (task < tasks) fetch(task);
        }
    } else {
        const Share<blocks> share;
        const int side = share.side, block = share.block, own = block * block_tokens;
        const int key = side < key_parts ? side * keys : 0, value = K + side * values;
        const auto fetch = [&](int head) {
            fetch_rows<keys>(x, q + line(own, head) * K + key, rows * K, count - own);
        };
        fetch(0);
        prepare();
        const int first[2] = {gates.first[own + lane_index() / 4], gates.first[own + lane_index() / 4 + 8]};
        float* own_between = between + own * between_row;
        for (int head = 0; head < group; head++) {
            float u[P / 8][4], p[P / 8][2], other[P / 8][2];
            if (side < key_parts) {
                read_slots<keys>(u, x, block, inputs + key, state + key, row, gates, first);
                scale_by_ratios(u, block, gates);
                leave_rows(own_between, between_row, u, side);
            }
            if (head + 1 < group) fetch(head + 1);
            __syncthreads();
            if (side < key_parts) own_rows(p, u, side);
            if (key_parts == 2 || side == 1) {
                left_rows(other, own_between, between_row, side);
#pragma unroll
                for (int n = 0; n < P / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 2; i++) p[n][i] = side < key_parts ? p[n][i] + other[n][i] : other[n][i];
                }
            }
            softmax_slots<M>(p, scale);
            // In the places from which this thread took the other warp's; so do those of the next head.
            float* shown = own_between + (lane_index() / 4 + side * 8) * between_row + lane_index() % 4 * 2;
            const float* ratios = gates.ratios + (own + lane_index() / 4 + side * 8) * gates.row + lane_index() % 4 * 2;
#pragma unroll
            for (int n = 0; n < P / 8; n++) {
                const float2 ratio = *reinterpret_cast<const float2*>(ratios + n * 8);
                p[n][0] *= ratio.x, p[n][1] *= ratio.y;
                *reinterpret_cast<float2*>(shown + n * 8) = make_float2(p[n][0], p[n][1]);
            }
            __syncthreads();
            if (side >= value_parts) continue;
            left_rows(other, own_between, between_row, 1 - side);
#pragma unroll
            for (int n = 0; n < P / 8; n++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    u[n][i] = side == 0 ? p[n][i] : other[n][i];
                    u[n][i + 2] = side == 0 ? other[n][i] : p[n][i];
                }
            }
            float out[values / 8][4];
            spread_slots<values>(out, u, block, inputs + value, state + value, row, gates, first);
            store_rows(o + line(own, head) * V + value - K, rows * V, count - own, out);
        }
    }
}
