// Gradients of Gated Slot Attention in chunks; names as in gated_slot_attention.cuh. Per slot, with z = Kt q the logits
// before `scale`, p = softmax(scale · z), do the gradient of o:
//
//     dp_t = Vt_t do_t        dz_t = scale · p_t ⊙ (dp_t - p_t · dp_t)        dq_t = Kt_tᵀ dz_t
//
// A_t, the gradient of the state after token t, is Σ_{u≥t} exp(F_u - F_t) (dz_u ⊗ q_u or p_u ⊗ do_u) and what comes from
// after the chunk. Then dk_t = A_tᵀ s_t, dv_t alike, and the gradient of s is ds_t = A_t k_t + (the same of the values) v_t.
// Log gates act through F and through s = 1 - exp(f), where every exp(F_u - F_j) s_j x_j raises F_u and lowers F_j alike:
//
//     df_t = Σ_{u≥t} (p_u dp_u + dz_u z_u - s_u ds_u) + S_C · A_C - exp(f_t) ds_t        within the document
//
// with S_C · A_C = exp(F_C) S_0 · A_C + Σ_j s_j (ds_j's part from A_C), which leaves of that part the tokens before t.
//
// Three kernels: all that the chunk's own outputs give (`gsa_chunk_gradients`), the gradients of the states after every chunk
// (`gsa_scan_states`, reversed), and what these add (`gsa_end_gradients`).
#include "gated_slot_attention.cuh"

namespace gated_slots {

/// Bytes of shared memory that two blocks of a multiprocessor may ask for: 228 KiB, less 1 KiB that each takes besides.
constexpr int shared_limit = 226 << 10;

}  // namespace gated_slots

/// Shared memory of `gsa_chunk_gradients`.
constexpr int gsa_gradients_shared(int K, int V, int M, int C, int together) {
    using namespace gated_slots;
    const int P = padded_slots(M);
    return (C + P) * tile_row(K + V) * 2 + C * tile_row(P) * 10 + C / 16 * P * 8 + C * 4
        + together * C * (tile_row(K + V) + tile_row(2 * P)) * 2;
}

namespace gated_slots {

/// A chunk in shared memory, with `together` of the group's query heads. Of each of these: reads (C, K + V) = [q | do] and
/// spreads (C, 2 P) = [dz | p] ⊙ ratio.
template <int K, int V, int M, int C, int together> struct GradientTiles {
    static constexpr int P = padded_slots(M), blocks = C / block_tokens, row = tile_row(K + V), spread_row = tile_row(2 * P);
    bf16* inputs;  // (C, row): [k | v]
    bf16* state;   // (P, row)
    bf16* reads;   // (together, C, row)
    bf16* spreads; // (together, C, spread_row)
    GateTables<M, C> gates;
    float* balance; // (C, gates.row): Σ_heads p dp + dz z

    __device__ explicit GradientTiles(unsigned char* memory)
        : inputs(reinterpret_cast<bf16*>(memory)), state(inputs + C * row), reads(state + P * row),
          spreads(reads + together * C * row), gates(reinterpret_cast<unsigned char*>(spreads + together * C * spread_row)),
          balance(reinterpret_cast<float*>(gates.weights + C * gates.row)) {}

    __device__ bf16* read(int head, int block) const { return reads + (head * C + block * block_tokens) * row; }
    __device__ bf16* spread(int head, int block) const { return spreads + (head * C + block * block_tokens) * spread_row; }

    /// dz and p of one head and block, times ratio, into `spreads`, the balance, and dq (16, K).
    __device__ void recall(float (&dq)[K / 8][4], int head, int block, float scale) const {
        const int line = block * block_tokens + lane_index() / 4;
        const int first[2] = {gates.first[line], gates.first[line + 8]};
        float z[P / 8][4], p[P / 8][4], dz[P / 8][4];
        {
            uint32_t x[K / 16][4];
            load_rows<K>(x, read(head, block), row);
            read_slots<K>(z, x, block, inputs, state, row, gates, first);
        }
        scale_by_ratios(z, block, gates);
        softmax_slots<M>(p, z, scale);
        {
            uint32_t x[V / 16][4];
            load_rows<V>(x, read(head, block) + K, row);
            read_slots<V>(dz, x, block, inputs + K, state + K, row, gates, first);
        }
        scale_by_ratios(dz, block, gates);
        float mean[2] = {0.0f, 0.0f};
#pragma unroll
        for (int n = 0; n < P / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) mean[i / 2] += p[n][i] * dz[n][i];
        }
        mean[0] = row_sum(mean[0]), mean[1] = row_sum(mean[1]);
#pragma unroll
        for (int n = 0; n < P / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float dp = dz[n][i];
                dz[n][i] = scale * p[n][i] * (dp - mean[i / 2]);
                z[n][i] = p[n][i] * dp + dz[n][i] * z[n][i];
            }
        }
        add_balance(z, head, line);
        scale_by_ratios(p, block, gates);
        scale_by_ratios(dz, block, gates);
        bf16* to = spreads + (head * C + line) * spread_row + lane_index() % 4 * 2;
#pragma unroll
        for (int n = 0; n < P / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                bf16* place = to + half * 8 * spread_row + n * 8;
                *reinterpret_cast<uint32_t*>(place) = pack_bf16(dz[n][half * 2], dz[n][half * 2 + 1]);
                *reinterpret_cast<uint32_t*>(place + P) = pack_bf16(p[n][half * 2], p[n][half * 2 + 1]);
            }
        }
        spread_slots<K>(dq, dz, block, inputs, state, row, gates, first);
    }

    /// The heads one after the other, so that sums are the same in every run.
    __device__ void add_balance(const float (&x)[P / 8][4], int head, int line) const {
        float* to = balance + line * gates.row + lane_index() % 4 * 2;
        for (int turn = 0; turn < together; turn++) {
            if (turn == head) {
#pragma unroll
                for (int n = 0; n < P / 8; n++) {
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        float2* place = reinterpret_cast<float2*>(to + half * 8 * gates.row + n * 8);
                        const float2 old = turn > 0 ? *place : make_float2(0.0f, 0.0f);
                        *place = make_float2(old.x + x[n][half * 2], old.y + x[n][half * 2 + 1]);
                    }
                }
            }
            if (turn + 1 < together) __syncthreads();
        }
    }

    /// dk (16, X) of block `source`, or dv, from the chunk's own outputs: `part` is the first column of dz or p in `spreads`,
    /// `column` that of q or do in `reads`.
    template <int X> __device__ void inputs_gradient(float (&d)[X / 8][4], int source, int part, int column) const {
        uint32_t a[P / 16][4];
        float weights[P / 8][4];
        load_rows<P>(a, gates.weights + source * block_tokens * gates.row, gates.row);
#pragma unroll
        for (int k = 0; k < P / 16; k++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                weights[2 * k + i / 2][i % 2 * 2] = low_float(a[k][i]);
                weights[2 * k + i / 2][i % 2 * 2 + 1] = high_float(a[k][i]);
            }
        }
        clear(d);
        for (int target = source; target < blocks; target++) {
            if (target > source) {
                scale_columns(weights, gates.falls + target * P);
                scale_columns(weights, gates.rises + target * P);
                pack_rows(a, weights);
            }
            for (int head = 0; head < together; head++) {
                float products[2][4];
                uint32_t b[1][4];
                clear(products);
                add_product_transposed(products, a, spread(head, target) + part, spread_row);
                keep_reached(products, source * block_tokens, target * block_tokens, gates.first);
                pack_rows(b, products);
                add_product(d, b, read(head, target) + column, row);
            }
        }
    }

    /// ds (16, P) of block `source` from the chunk's own outputs, in the place of the block's ratios.
    __device__ void written_gradient(int source) const {
        float d[P / 8][4];
        clear(d);
        for (int target = blocks - 1; target >= source; target--) {
            if (target + 1 < blocks) {
                scale_columns(d, gates.rises + (target + 1) * P);
                scale_columns(d, gates.falls + (target + 1) * P);
            }
            add_written<K>(d, source, target, 0, 0);
            add_written<V>(d, source, target, K, P);
        }
        float* ratios = gates.ratios + (source * block_tokens + lane_index() / 4) * gates.row + lane_index() % 4 * 2;
#pragma unroll
        for (int n = 0; n < P / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float2* place = reinterpret_cast<float2*>(ratios + half * 8 * gates.row + n * 8);
                *place = make_float2(__fdividef(d[n][half * 2], place->x), __fdividef(d[n][half * 2 + 1], place->y));
            }
        }
    }

    template <int X>
    __device__ void add_written(float (&d)[P / 8][4], int source, int target, int column, int part) const {
        uint32_t x[X / 16][4];
        load_rows<X>(x, inputs + source * block_tokens * row + column, row);
        for (int head = 0; head < together; head++) {
            float products[2][4];
            uint32_t a[1][4];
            clear(products);
            add_product_transposed(products, x, read(head, target) + column, row);
            keep_reached(products, source * block_tokens, target * block_tokens, gates.first);
            pack_rows(a, products);
            add_product(d, a, spread(head, target) + part, spread_row);
        }
    }

    /// The gradient (16, X) of the state before the chunk, slots from m, from the chunk's own outputs.
    template <int X> __device__ void state_gradient(float (&d)[X / 8][4], int m, int part, int column) const {
        const float* rises = gates.rises + m + lane_index() / 4;
        const float* falls = gates.falls + m + lane_index() / 4;
        auto scale_rows = [&](const float* factors) {
#pragma unroll
            for (int n = 0; n < X / 8; n++) {
                d[n][0] *= factors[0], d[n][1] *= factors[0], d[n][2] *= factors[8], d[n][3] *= factors[8];
            }
        };
        clear(d);
        for (int target = blocks - 1; target >= 0; target--) {
            // Of this thread's operands, lower and upper half: tokens t, t + 1 of the block and t + 8, t + 9.
            const int* first = gates.first + target * block_tokens + lane_index() % 4 * 2;
            uint32_t reached[2];
            for (int i = 0; i < 2; i++) {
                reached[i] = (first[i * 8] < 0 ? 0xffffu : 0u) | (first[i * 8 + 1] < 0 ? 0xffff0000u : 0u);
            }
            for (int head = 0; head < together; head++) {
                uint32_t a[1][4];
                load_matrix_x4_transposed(a[0], crossed(spread(head, target) + part + m, spread_row));
#pragma unroll
                for (int i = 0; i < 4; i++) a[0][i] &= reached[i / 2];
                add_product(d, a, read(head, target) + column, row);
            }
            scale_rows(rises + target * P);
            scale_rows(falls + target * P);
        }
    }

    /// dLogGates from ds, in the place of the ratios, and the balance. `totals` (blocks, P) is free; holds a barrier.
    template <bool adding>
    __device__ void log_gates_gradient(const float* logGates, float* out, int64_t gate_row, int count, float* totals) const {
        constexpr int items = blocks * P, threads = 2 * C * together, rounds = (items + threads - 1) / threads;
        float g[rounds][block_tokens], sums[rounds][block_tokens];
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
            if (item >= items) continue;
            load_log_gates(g[round], logGates + token * gate_row + m, gate_row, m < M ? count - token : 0);
            float sum = 0.0f;
#pragma unroll
            for (int t = block_tokens - 1; t >= 0; t--) {
                const int at = (token + t) * gates.row + m;
                if (t + 1 < block_tokens && gates.first[token + t + 1] == token + t + 1) sum = 0.0f;
                sum += balance[at] - written(g[round][t]) * gates.ratios[at];
                sums[round][t] = sum;
            }
            totals[item] = sum;
        }
        __syncthreads();
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
            if (item >= items || m >= M) continue;
            // What the later blocks hold of the document of this block's last token.
            float later = 0.0f;
            for (int block = blocks - 1; block > item / P; block--) {
                const int start = block * block_tokens;
                if (gates.first[start + block_tokens - 1] > start) later = 0.0f;
                later = gates.first[start] == start ? 0.0f : later + totals[block * P + m];
            }
            const int last = gates.first[token + block_tokens - 1];
#pragma unroll
            for (int t = 0; t < block_tokens; t++) {
                if (token + t >= count) continue;
                const float ds = gates.ratios[(token + t) * gates.row + m], s = written(g[round][t]);
                const float gradient = sums[round][t] + (last <= token + t ? later : 0.0f) - (1.0f - s) * ds;
                float* place = out + (token + t) * gate_row + m;
                *place = adding ? *place + gradient : gradient;
            }
        }
    }
};

}  // namespace gated_slots

/// Of the chunk's own outputs: dq (B, T, H, K), complete; dk, dv, dLogGates without what comes from after the chunk; and
/// contributions (B, N, chunks, P, K + V) to the gradient of the state before the chunk. It takes `together` of the group's
/// heads, from `firstHead`, as many as shared memory holds; further launches for further heads are `adding` to all but dq.
/// Grid (chunks, N, B), block 2 C · together, shared `gsa_gradients_shared`:
/// (C + P) (K + V + 8) 2 + C (P + 8) 10 + C / 16 · P · 8 + C · 4 + together · C (K + V + 2 P + 16) 2.
template <int K, int V, int M, int C, int together, bool adding>
__global__ void __launch_bounds__(
    2 * C * together, 2 * gsa_gradients_shared(K, V, M, C, together) <= gated_slots::shared_limit ? 2 : 1) gsa_chunk_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v, const float* __restrict__ logGates,
    const int* __restrict__ starts, const bf16* __restrict__ states, const bf16* __restrict__ outGradient,
    bf16* __restrict__ dq, bf16* __restrict__ dk, bf16* __restrict__ dv, float* __restrict__ dLogGates,
    bf16* __restrict__ contributions, int tokens, int group, int firstHead, float scale
) {
    using namespace gated_slots;
    constexpr int P = padded_slots(M), X = K + V, blocks = C / block_tokens;
    SHARED_MEMORY(memory);
    const GradientTiles<K, V, M, C, together> tiles(memory);
    const int warp = threadIdx.x / 32, warps = blocks * together;
    const int heads = gridDim.y, begin = blockIdx.x * C, count = min(C, tokens - begin);
    const int64_t token = static_cast<int64_t>(blockIdx.z) * tokens + begin, at = token * heads + blockIdx.y;
    const int64_t rows = static_cast<int64_t>(heads) * group, chunk = chunk_index();
    for (int head = 0; head < together; head++) {
        const int64_t from = token * rows + blockIdx.y * group + firstHead + head;
        copy_tile<K>(tiles.read(head, 0), tiles.row, q + from * K, rows * K, C, count);
        copy_tile<V>(tiles.read(head, 0) + K, tiles.row, outGradient + from * V, rows * V, C, count);
    }
    copy_tile<K>(tiles.inputs, tiles.row, k + at * K, heads * K, C, count);
    copy_tile<V>(tiles.inputs + K, tiles.row, v + at * V, heads * V, C, count);
    copy_tile<X>(tiles.state, tiles.row, states + chunk * P * X, X, P, P);
    copy_async_commit();
    const int64_t gate_row = static_cast<int64_t>(heads) * M;
    tiles.gates.prepare(logGates + at * M, gate_row, starts ? starts + token : nullptr, begin, count);
    copy_async_wait<0>();
    __syncthreads();

    {
        // A head's warps lie shifted from the head's before, so that the longest do not all share one scheduler.
        const int head = warp / blocks, block = (warp + head) % blocks, own = block * block_tokens;
        float d[K / 8][4];
        tiles.recall(d, head, block, scale);
        store_rows(dq + ((token + own) * rows + blockIdx.y * group + firstHead + head) * K, rows * K, count - own, d);
    }
    __syncthreads();

    // Longest tasks first, and every other round of warps backwards: who had the longest then takes the shortest, or none.
    constexpr int slot_tiles = P / 16, tasks = 3 * blocks + 2 * slot_tiles;
    for (int round = 0; round * warps < tasks; round++) {
        const int task = round * warps + (round % 2 == 0 ? warp : warps - 1 - warp);
        if (task >= tasks) continue;
        const int block = task / 3, m = (task - 3 * blocks) % slot_tiles * 16;
        const int64_t own = at + static_cast<int64_t>(block) * block_tokens * heads;
        const int left = count - block * block_tokens;
        if (task >= 3 * blocks + slot_tiles) {
            float d[V / 8][4];
            tiles.template state_gradient<V>(d, m, P, K);
            store_rows<adding>(contributions + (chunk * P + m) * X + K, X, 16, d);
        } else if (task >= 3 * blocks) {
            float d[K / 8][4];
            tiles.template state_gradient<K>(d, m, 0, 0);
            store_rows<adding>(contributions + (chunk * P + m) * X, X, 16, d);
        } else if (task % 3 == 0) {
            tiles.written_gradient(block);
        } else if (task % 3 == 1) {
            float d[K / 8][4];
            tiles.template inputs_gradient<K>(d, block, 0, 0);
            store_rows<adding>(dk + own * K, heads * K, left, d);
        } else {
            float d[V / 8][4];
            tiles.template inputs_gradient<V>(d, block, P, K);
            store_rows<adding>(dv + own * V, heads * V, left, d);
        }
    }
    __syncthreads();
    tiles.template log_gates_gradient<adding>(logGates + at * M, dLogGates + at * M, gate_row, count, tiles.gates.rises);
}

/// Shared memory of `gsa_end_gradients`.
constexpr int gsa_end_shared(int K, int V, int M, int C) {
    using namespace gated_slots;
    const int P = padded_slots(M);
    return (C + P) * tile_row(K + V) * 2 + C * tile_row(P) * 6 + (C / 16 + 1) * P * 4;
}

/// Adds to dk, dv and dLogGates what comes through the state after the chunk, of gradient `gradients` (B, N, chunks, P, K + V);
/// `states` and `keeps` are those of the forward pass.
/// Grid (chunks, N, B), block 2 C, shared `gsa_end_shared`: (C + P) (K + V + 8) 2 + C (P + 8) 6 + (C / 16 + 1) P · 4.
template <int K, int V, int M, int C>
__global__ void __launch_bounds__(2 * C) gsa_end_gradients(
    const bf16* __restrict__ k, const bf16* __restrict__ v, const float* __restrict__ logGates, const int* __restrict__ starts,
    const bf16* __restrict__ states, const bf16* __restrict__ gradients, const float* __restrict__ keeps,
    bf16* __restrict__ dk, bf16* __restrict__ dv, float* __restrict__ dLogGates, int tokens
) {
    using namespace gated_slots;
    constexpr int P = padded_slots(M), X = K + V, row = tile_row(X), weight_row = tile_row(P), blocks = C / block_tokens;
    SHARED_MEMORY(memory);
    bf16* inputs = reinterpret_cast<bf16*>(memory);
    bf16* gradient = inputs + C * row;
    bf16* weights = gradient + P * row;
    float* decays = reinterpret_cast<float*>(weights + C * weight_row);
    float* totals = decays + C * weight_row;
    float* kept = totals + blocks * P;  // (P): exp(F_C) S_0 · A_C

    const int heads = gridDim.y, begin = blockIdx.x * C, count = min(C, tokens - begin);
    const int64_t token = static_cast<int64_t>(blockIdx.z) * tokens + begin, at = token * heads + blockIdx.y;
    const int64_t chunk = chunk_index(), gate_row = static_cast<int64_t>(heads) * M;
    copy_tile<K>(inputs, row, k + at * K, heads * K, C, count);
    copy_tile<V>(inputs + K, row, v + at * V, heads * V, C, count);
    copy_tile<X>(gradient, row, gradients + chunk * P * X, X, P, P);
    copy_async_commit();
    const int start = starts ? starts[token + count - 1] : 0, first = start > 0 ? start - begin : -1;
    prepare_end<M, C>(logGates + at * M, gate_row, count, first, totals, weights, decays);
    copy_async_wait<0>();
    __syncthreads();

    const int warp = threadIdx.x / 32, own = warp * block_tokens;
    {
        uint32_t x[X / 16][4];
        float d[P / 8][4];
        load_rows<X>(x, inputs + own * row, row);
        clear(d);
        add_product_transposed(d, x, gradient, row);
        float* to = decays + (own + lane_index() / 4) * weight_row + lane_index() % 4 * 2;
#pragma unroll
        for (int n = 0; n < P / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float2* place = reinterpret_cast<float2*>(to + half * 8 * weight_row + n * 8);
                *place = make_float2(d[n][half * 2] * place->x, d[n][half * 2 + 1] * place->y);
            }
        }
    }
    {
        uint32_t a[P / 16][4];
        load_rows<P>(a, weights + own * weight_row, weight_row);
        float d[K / 8][4], e[V / 8][4];
        clear(d);
        add_product(d, a, gradient, row);
        store_rows<true>(dk + (at + static_cast<int64_t>(own) * heads) * K, heads * K, count - own, d);
        clear(e);
        add_product(e, a, gradient + K, row);
        store_rows<true>(dv + (at + static_cast<int64_t>(own) * heads) * V, heads * V, count - own, e);
    }
    // Four lanes a slot.
    for (int m = threadIdx.x / 4; m < P; m += blockDim.x / 4) {
        float sum = 0.0f;
        for (int i = threadIdx.x % 4 * 8; i < X; i += 32) {
            const uint4 x = *reinterpret_cast<const uint4*>(states + (chunk * P + m) * X + i);
            const uint4 y = *reinterpret_cast<const uint4*>(gradient + m * row + i);
            sum += low_float(x.x) * low_float(y.x) + high_float(x.x) * high_float(y.x);
            sum += low_float(x.y) * low_float(y.y) + high_float(x.y) * high_float(y.y);
            sum += low_float(x.z) * low_float(y.z) + high_float(x.z) * high_float(y.z);
            sum += low_float(x.w) * low_float(y.w) + high_float(x.w) * high_float(y.w);
        }
        sum = row_sum(sum);
        if (threadIdx.x % 4 == 0) kept[m] = sum * keeps[chunk * P + m];
    }
    __syncthreads();

    for (int item = threadIdx.x; item < blocks * P; item += blockDim.x) {
        const int place = item / P * block_tokens, m = item % P;
        float g[block_tokens], sum = 0.0f;
        load_log_gates(g, logGates + at * M + place * gate_row + m, gate_row, m < M ? count - place : 0);
#pragma unroll
        for (int t = 0; t < block_tokens; t++) sum += written(g[t]) * decays[(place + t) * weight_row + m];
        totals[item] = sum;
    }
    __syncthreads();
    for (int item = threadIdx.x; item < blocks * P; item += blockDim.x) {
        const int place = item / P * block_tokens, m = item % P;
        if (m >= M) continue;
        float g[block_tokens], sum = kept[m];
        load_log_gates(g, logGates + at * M + place * gate_row + m, gate_row, count - place);
        for (int block = 0; block < item / P; block++) sum += totals[block * P + m];
#pragma unroll
        for (int t = 0; t < block_tokens; t++) {
            const float ds = decays[(place + t) * weight_row + m], s = written(g[t]);
            if (place + t < count && place + t >= first) {
                dLogGates[(at + static_cast<int64_t>(place + t) * heads) * M + m] += sum - (1.0f - s) * ds;
            }
            sum += s * ds;
        }
    }
}
