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
// Three kernels: what reads the states, dq and what the chunk's own outputs give to the gradient of the state before it
// (`gsa_read_gradients`); the gradients of the states after every chunk (`gsa_scan_states`, reversed); what wrote, dk, dv and
// dLogGates, whole (`gsa_write_gradients`). Two warps share a block of tokens: one has the keys, the other the values. Between the
// kernels go `spreads` (B, T, H, 2 P) = [dz | p] ⊙ ratio, bfloat16, and `balance` (B, T, N, P) = Σ_heads p dp + dz z, float32.
#include "gated_slot_attention.cuh"

namespace gated_slots {

/// Whether queries and gradients of outputs find room in what one head has done with: the values, and the states'.
constexpr bool reads_replace_values(int K, int V, int M, int C, bool lone) {
    return lone && K <= V && padded_slots(M) >= C;
}

constexpr int read_gradients_shared(int K, int V, int M, int C, bool lone) {
    const int P = padded_slots(M), row = tile_row(K + V), reads = reads_replace_values(K, V, M, C, lone) ? 0 : C * row * 2;
    return (C + P) * row * 2 + C * tile_row(2 * P) * 2 + C * tile_row(P) * 6 + C / 16 * P * 8 + C * 4 + reads;
}

constexpr int write_gradients_shared(int K, int V, int M, int C) {
    const int P = padded_slots(M), row = tile_row(K + V);
    return (C + (P > C ? P : C)) * row * 2 + C * tile_row(2 * P) * 4 + C * tile_row(P) * 2 + (C / 16 * 3 + 2) * P * 4 + C * 4;
}

/// d (16, N) += rows (16, X) · tileᵀ, both in shared memory: `rows` is read as it is needed, for it would take registers.
template <int X, int tiles>
__device__ inline void add_rows_product(float (&d)[tiles][4], const bf16* rows, const bf16* tile, int row) {
#pragma unroll
    for (int k = 0; k < X; k += 16) {
        uint32_t a[1][4];
        load_matrix_x4(a[0], straight(rows + k, row));
        add_product_transposed(d, a, tile + k, row);
    }
}

// MARK: What reads

/// dz and p times ratio, from z and dp, of 8 rows from `line` of the chunk on, into `spread`, and the balance into `sums`: this
/// thread's places in its row of either. Where that is not `valid` it has no balance; `adding` adds to what is there.
template <int M, int C>
__device__ inline void softmax_gradients(
    const float (&z)[padded_slots(M) / 8][2], const float (&dp)[padded_slots(M) / 8][2], bf16* spread, int line,
    const GateTables<M, C>& gates, float* sums, bool valid, bool adding, float scale
) {
    constexpr int P = padded_slots(M);
    float p[P / 8][2], mean = 0.0f;
    float2 old[P / 8];
#pragma unroll
    for (int n = 0; n < P / 8; n++) {
        p[n][0] = z[n][0], p[n][1] = z[n][1];
        old[n] = adding && valid ? *reinterpret_cast<const float2*>(sums + n * 8) : make_float2(0.0f, 0.0f);
    }
    softmax_slots<M>(p, scale);
#pragma unroll
    for (int n = 0; n < P / 8; n++) mean += p[n][0] * dp[n][0] + p[n][1] * dp[n][1];
    mean = row_sum(mean);
    const float* ratios = gates.ratios + (line + lane_index() / 4) * gates.row + lane_index() % 4 * 2;
    // All of the rows' dp has been read.
    sync_warp();
#pragma unroll
    for (int n = 0; n < P / 8; n++) {
        const float2 ratio = *reinterpret_cast<const float2*>(ratios + n * 8);
        const float dz0 = scale * p[n][0] * (dp[n][0] - mean), dz1 = scale * p[n][1] * (dp[n][1] - mean);
        *reinterpret_cast<uint32_t*>(spread + n * 8) = pack_bf16(dz0 * ratio.x, dz1 * ratio.y);
        *reinterpret_cast<uint32_t*>(spread + n * 8 + P) = pack_bf16(p[n][0] * ratio.x, p[n][1] * ratio.y);
        const float2 sum = make_float2(
            old[n].x + p[n][0] * dp[n][0] + dz0 * z[n][0], old[n].y + p[n][1] * dp[n][1] + dz1 * z[n][1]);
        if (valid) *reinterpret_cast<float2*>(sums + n * 8) = sum;
    }
}

/// The gradient (16, X) of the state before the chunk, slots from m, from the chunk's own outputs of one head: `spreads`
/// (C, row 2 P + 8) from dz or p of slot m on, `reads` (C, row) q or do.
template <int X, int M, int C>
__device__ inline void state_gradient(
    float (&d)[X / 8][4], int m, const bf16* spreads, const bf16* reads, int row, const GateTables<M, C>& gates
) {
    constexpr int P = padded_slots(M), spread_row = tile_row(2 * P), blocks = C / block_tokens;
    clear(d);
#pragma unroll 1
    for (int target = blocks - 1; target >= 0; target--) {
        // Of this thread's operands, lower and upper half: tokens t, t + 1 of the block and t + 8, t + 9.
        const int* first = gates.first + target * block_tokens + lane_index() % 4 * 2;
        uint32_t a[1][4];
        load_matrix_x4_transposed(a[0], crossed(spreads + target * block_tokens * spread_row, spread_row));
#pragma unroll
        for (int i = 0; i < 4; i++) {
            a[0][i] &= (first[i / 2 * 8] < 0 ? 0xffffu : 0u) | (first[i / 2 * 8 + 1] < 0 ? 0xffff0000u : 0u);
        }
        add_product(d, a, reads + target * block_tokens * row, row);
        // Unlike elsewhere at once: where that is 0, nothing later makes it count again.
        const float* rises = gates.rises + target * P + m + lane_index() / 4;
        const float* falls = gates.falls + target * P + m + lane_index() / 4;
        scale_rows(d, rises[0] * falls[0], rises[8] * falls[8]);
    }
}

}  // namespace gated_slots

/// dq (B, T, H, K), `spreads`, `balance`, and the contributions (B, N, chunks, P, K + V) of the chunk's outputs to the gradient of the
/// state before it, of the group's heads one after the other. `lone`: the group is one head.
/// Grid (chunks, N, B), block 4 C, shared `read_gradients_shared`: (C + P) (K + V + 8) 2 + C (P + 4) 4 + C (P + 8) 6 + C / 16 · P · 8
/// + C · 4, and unless `reads_replace_values` C (K + V + 8) 2.
template <int K, int V, int M, int C, bool lone>
__global__ void __launch_bounds__(
    4 * C, gated_slots::blocks_fitting(gated_slots::read_gradients_shared(K, V, M, C, lone))) gsa_read_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v, const float* __restrict__ logGates,
    const int* __restrict__ starts, const bf16* __restrict__ states, const bf16* __restrict__ outGradient,
    bf16* __restrict__ dq, bf16* __restrict__ spreads, float* __restrict__ balance, bf16* __restrict__ contributions, int tokens,
    int group, float scale
) {
    using namespace gated_slots;
    constexpr int P = padded_slots(M), X = K + V, row = tile_row(X), spread_row = tile_row(2 * P), blocks = C / block_tokens;
    // Of the products with 16 slots, of keys or values; where a warp has one of them, it sums over heads in registers.
    constexpr int slot_tiles = P / 16, rounds = (slot_tiles + blocks - 1) / blocks, widest = K > V ? K : V;
    constexpr int parts = K % 32 == 0 ? 2 : 1;
    constexpr bool replacing = reads_replace_values(K, V, M, C, lone);
    SHARED_MEMORY(memory);
    bf16* inputs = reinterpret_cast<bf16*>(memory);  // (C, row): [k | v]
    bf16* state = inputs + C * row;                  // (P, row)
    bf16* spread = state + P * row;                  // (C, spread_row)
    const GateTables<M, C> gates(reinterpret_cast<unsigned char*>(spread + C * spread_row));
    bf16* queries = replacing ? inputs + K : gates.weights + C * gates.row;  // (C, row): q
    bf16* out_gradients = replacing ? state + K : queries + K;               // (C, row): do

    const int heads = gridDim.y, begin = blockIdx.x * C, count = min(C, tokens - begin);
    const int64_t token = static_cast<int64_t>(blockIdx.z) * tokens + begin, at = token * heads + blockIdx.y;
    const int64_t rows = static_cast<int64_t>(heads) * group, chunk = chunk_index();
    copy_tile<K>(inputs, row, k + at * K, heads * K, C, count);
    copy_tile<V>(inputs + K, row, v + at * V, heads * V, C, count);
    copy_tile<X>(state, row, states + chunk * P * X, X, P, P);
    copy_async_commit();
    const Share<blocks> share;
    const int own = share.block * block_tokens, left = count - own;
    // The side's reads of one head: q or do of the block's tokens.
    uint32_t x[widest / 16][4];
    const auto first_columns = [&](auto width) -> uint32_t (&)[decltype(width)::value / 16][4] {
        return reinterpret_cast<uint32_t (&)[decltype(width)::value / 16][4]>(x);
    };
    const auto fetch = [&](int head) {
        const int64_t line = (token + own) * rows + blockIdx.y * group + head;
        if constexpr (K == V) fetch_rows<K>(x, (share.side == 0 ? q : outGradient) + line * K, rows * K, left);
        else if (share.side == 0) fetch_rows<K>(first_columns(Width<K>()), q + line * K, rows * K, left);
        else fetch_rows<V>(first_columns(Width<V>()), outGradient + line * V, rows * V, left);
    };
    if (lone) fetch(0);
    gates.prepare(logGates + at * M, static_cast<int64_t>(heads) * M, starts ? starts + token : nullptr, begin, count);
    copy_async_wait<0>();
    __syncthreads();

    const int first[2] = {gates.first[own + lane_index() / 4], gates.first[own + lane_index() / 4 + 8]};
    bf16* own_spread = spread + own * spread_row;
    float sum[rounds == 1 && !lone ? widest / 8 : 1][4];
    clear(sum);
    for (int head = 0; head < group; head++) {
        const int64_t line = token * rows + blockIdx.y * group + head;
        const auto copy_reads = [&] {
            copy_tile<K>(queries, row, q + line * K, rows * K, C, count);
            copy_tile<V>(out_gradients, row, outGradient + line * V, rows * V, C, count);
            copy_async_commit();
        };
        if (!replacing) copy_reads();
        if (!lone) fetch(head);
        float result[P / 8][4], own_half[P / 8][2], other_half[P / 8][2];
        const auto read = [&](auto width, int column) {
            constexpr int W = decltype(width)::value;
            read_slots<W>(result, first_columns(width), share.block, inputs + column, state + column, row, gates, first);
        };
        if constexpr (K == V) read(Width<K>(), share.side * K);
        else if (share.side == 0) read(Width<K>(), 0);
        else read(Width<V>(), K);
        scale_by_ratios(result, share.block, gates);
        // One of the two warps has z, the other dp: each goes on with both of 8 tokens.
        float* between = reinterpret_cast<float*>(own_spread);
        leave_rows(between, spread_row / 2, result, share.side);
        __syncthreads();
        if (replacing) copy_reads();
        {
            own_rows(own_half, result, share.side);
            left_rows(other_half, between, spread_row / 2, share.side);
            float z[P / 8][2], dp[P / 8][2];
#pragma unroll
            for (int n = 0; n < P / 8; n++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    z[n][i] = share.side == 0 ? own_half[n][i] : other_half[n][i];
                    dp[n][i] = share.side == 0 ? other_half[n][i] : own_half[n][i];
                }
            }
            const int half = share.side * 8, t = half + lane_index() / 4, pair = lane_index() % 4 * 2;
            softmax_gradients<M, C>(
                z, dp, own_spread + t * spread_row + pair, own + half, gates,
                balance + (at + static_cast<int64_t>(own + t) * heads) * P + pair, t < left, !lone && head > 0, scale);
        }
        __syncthreads();
        if (share.side < parts) {
            uint32_t a[P / 16][4];
            float u[P / 8][4], d[K / parts / 8][4];
            const int column = share.side * (K / parts);
            load_rows<P>(a, own_spread, spread_row);
            unpack_rows(u, a);
            spread_slots<K / parts>(d, u, share.block, inputs + column, state + column, row, gates, first);
            store_rows(dq + (line + own * rows) * K + column, rows * K, left, d);
        }
        for (int i = threadIdx.x; i < C * (P / 4); i += blockDim.x) {
            const int t = i / (P / 4), column = i % (P / 4) * 8;
            if (t < count) {
                store_16_bytes(
                    spreads + (line + t * rows) * 2 * P + column,
                    *reinterpret_cast<const uint4*>(spread + t * spread_row + column));
            }
        }
        copy_async_wait<0>();
        __syncthreads();

        const auto contribute = [&](auto width, int m, int side) {
            constexpr int W = decltype(width)::value;
            float d[W / 8][4];
            state_gradient<W, M, C>(d, m, spread + side * P + m, side == 0 ? queries : out_gradients, row, gates);
            bf16* to = contributions + (chunk * P + m) * X + side * K;
            if constexpr (lone) {
                store_rows(to, X, 16, d);
            } else if constexpr (rounds == 1) {
#pragma unroll
                for (int n = 0; n < W / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) d[n][i] = sum[n][i] += d[n][i];
                }
                if (head + 1 == group) store_rows(to, X, 16, d);
            } else if (head == 0) {
                store_rows(to, X, 16, d);
            } else {
                store_rows<true>(to, X, 16, d);
            }
        };
        for (int tile = share.block; tile < slot_tiles; tile += blocks) {
            if constexpr (K == V) contribute(Width<K>(), tile * 16, share.side);
            else if (share.side == 0) contribute(Width<K>(), tile * 16, 0);
            else contribute(Width<V>(), tile * 16, 1);
        }
        if (lone) break;
        __syncthreads();
    }
}

// MARK: What wrote

namespace gated_slots {

/// A chunk's keys and values in shared memory, with the reads of one head, and then the gradient of the state after the chunk.
template <int K, int V, int M, int C> struct WriteTiles {
    static constexpr int P = padded_slots(M), blocks = C / block_tokens, row = tile_row(K + V), spread_row = tile_row(2 * P);
    static constexpr int sums_row = spread_row / 2;
    bf16* inputs;   // (C, row): [k | v]
    bf16* reads;    // (C, row): [q | do]; then `gradient`
    bf16* gradient; // (P, row)
    bf16* spreads;  // (C, spread_row); then `through`
    float* through; // (C, sums_row): ratio ds from after the chunk
    float* sums;    // (C, sums_row): ratio ds from the chunk's own outputs
    GateTables<M, C, true> gates;
    float* kept;    // (P): exp(F_C) S_0 · A_C

    __device__ explicit WriteTiles(unsigned char* memory)
        : inputs(reinterpret_cast<bf16*>(memory)), reads(inputs + C * row), gradient(reads),
          spreads(reads + (P > C ? P : C) * row), through(reinterpret_cast<float*>(spreads)),
          sums(reinterpret_cast<float*>(spreads + C * spread_row)),
          gates(reinterpret_cast<unsigned char*>(sums + C * sums_row)),
          kept(reinterpret_cast<float*>(gates.weights + C * gates.row)) {}

    /// ratio ds (16, P) of block `source` from the chunk's own outputs, of keys or of values: `column` theirs in `inputs` and
    /// `reads`, `part` in `spreads`.
    template <int X> __device__ void written_gradient(float (&d)[P / 8][4], int source, int part, int column) const {
        clear(d);
#pragma unroll 1
        for (int target = blocks - 1; target >= source; target--) {
            if (target + 1 < blocks) {
                scale_columns(d, gates.rises + (target + 1) * P);
                scale_columns(d, gates.falls + (target + 1) * P);
            }
            float products[2][4];
            uint32_t a[1][4];
            clear(products);
            add_rows_product<X>(
                products, inputs + source * block_tokens * row + column, reads + target * block_tokens * row + column, row);
            keep_reached(products, source * block_tokens, target * block_tokens, gates.first);
            pack_rows(a, products);
            add_product(d, a, spreads + target * block_tokens * spread_row + part, spread_row);
        }
    }

    /// Adds to dk (16, X) of block `source`, or dv, what the chunk's own outputs give.
    template <int X> __device__ void add_inputs_gradient(float (&d)[X / 8][4], int source, int part, int column) const {
        uint32_t a[P / 16][4];
        float weights[P / 8][4];
        load_rows<P>(a, gates.weights + source * block_tokens * gates.row, gates.row);
        unpack_rows(weights, a);
#pragma unroll 1
        for (int target = source; target < blocks; target++) {
            if (target > source) {
                scale_columns(weights, gates.falls + target * P);
                scale_columns(weights, gates.rises + target * P);
            }
            pack_rows(a, weights);
            float products[2][4];
            uint32_t b[1][4];
            clear(products);
            add_product_transposed(products, a, spreads + target * block_tokens * spread_row + part, spread_row);
            keep_reached(products, source * block_tokens, target * block_tokens, gates.first);
            pack_rows(b, products);
            add_product(d, b, reads + target * block_tokens * row + column, row);
        }
    }

    /// Adds what comes from after the chunk, for tokens from `last` on.
    template <int X> __device__ void add_end_gradient(float (&d)[X / 8][4], int source, int column, int last) const {
        uint32_t a[P / 16][4];
        float weights[P / 8][4];
        const int j = source * block_tokens + lane_index() / 4;
        load_rows<P>(a, gates.weights + source * block_tokens * gates.row, gates.row);
        unpack_rows(weights, a);
        scale_columns(weights, gates.ends + source * P);
        scale_rows(weights, j >= last ? 1.0f : 0.0f, j + 8 >= last ? 1.0f : 0.0f);
        pack_rows(a, weights);
        add_product(d, a, gradient + column, row);
    }

    /// ratio ds (16, P) from after the chunk, of keys or of values.
    template <int X> __device__ void end_written_gradient(float (&d)[P / 8][4], int source, int column, int last) const {
        const int j = source * block_tokens + lane_index() / 4;
        clear(d);
        add_rows_product<X>(d, inputs + source * block_tokens * row + column, gradient + column, row);
        scale_columns(d, gates.ends + source * P);
        scale_rows(d, j >= last ? 1.0f : 0.0f, j + 8 >= last ? 1.0f : 0.0f);
    }

    /// `kept`, four lanes a slot. states: the chunk's; keeps: likewise.
    __device__ void keep(const bf16* states, const float* keeps) const {
        constexpr int X = K + V;
        for (int m = threadIdx.x / 4; m < P; m += blockDim.x / 4) {
            float sum = 0.0f;
#pragma unroll
            for (int from = 0; from < X; from += 32) {
                const int i = from + threadIdx.x % 4 * 8;
                if (i >= X) continue;
                const uint4 x = *reinterpret_cast<const uint4*>(states + m * X + i);
                const uint4 y = *reinterpret_cast<const uint4*>(gradient + m * row + i);
                sum += low_float(x.x) * low_float(y.x) + high_float(x.x) * high_float(y.x);
                sum += low_float(x.y) * low_float(y.y) + high_float(x.y) * high_float(y.y);
                sum += low_float(x.z) * low_float(y.z) + high_float(x.z) * high_float(y.z);
                sum += low_float(x.w) * low_float(y.w) + high_float(x.w) * high_float(y.w);
            }
            sum = row_sum(sum);
            if (threadIdx.x % 4 == 0) kept[m] = sum * keeps[m];
        }
    }

    /// dLogGates of the chunk from all sums; logGates, balance and out: the chunk's first token's; states, keeps: the chunk's. Holds
    /// barriers.
    __device__ void log_gates_gradient(
        const float* logGates, const float* balance, const bf16* states, const float* keeps, float* out, int heads, int count,
        int last
    ) const {
        constexpr int items = blocks * P, threads = 4 * C, rounds = (items + threads - 1) / threads;
        // Of a block and slot: what its own tokens sum up to within the document of the first, and Σ s ds from after the chunk.
        float *totals = gates.falls, *ends = gates.rises;
        const int64_t gate_row = static_cast<int64_t>(heads) * M, balance_row = static_cast<int64_t>(heads) * P;
        // At the same place: log gates and then s; ds; balances and then the sums from every token to the block's last of its document.
        float s[rounds][block_tokens], ds[rounds][block_tokens], later[rounds][block_tokens];
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
            if (item >= items) continue;
            load_log_gates(s[round], logGates + token * gate_row + m, gate_row, m < M ? count - token : 0);
#pragma unroll
            for (int t = 0; t < block_tokens; t++) {
                later[round][t] = token + t < count ? balance[(token + t) * balance_row + m] : 0.0f;
            }
        }
        keep(states, keeps);
        __syncthreads();
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
            if (item >= items) continue;
            float middle = 0.0f, decay = 0.0f, end = 0.0f, sum = 0.0f;
#pragma unroll
            for (int t = 0; t < block_tokens / 2; t++) middle += s[round][t];
#pragma unroll
            for (int t = 0; t < block_tokens; t++) {
                decay += s[round][t];
                const int at = (token + t) * sums_row + m;
                const float inverse = exp_flushed(middle - decay), from_end = through[at] * inverse;
                s[round][t] = written(s[round][t]);
                ds[round][t] = sums[at] * inverse + from_end;
                end += s[round][t] * from_end;
            }
#pragma unroll
            for (int t = block_tokens - 1; t >= 0; t--) {
                if (t + 1 < block_tokens && gates.first[token + t + 1] == token + t + 1) sum = 0.0f;
                sum += later[round][t] - s[round][t] * ds[round][t];
                later[round][t] = sum;
            }
            totals[item] = sum, ends[item] = end;
        }
        __syncthreads();
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
            if (item >= items || m >= M) continue;
            // What the later blocks hold of the document of this block's last token, and what is left behind of the row's last.
            float after = 0.0f, end = kept[m];
            for (int block = blocks - 1; block > item / P; block--) {
                const int start = block * block_tokens;
                if (gates.first[start + block_tokens - 1] > start) after = 0.0f;
                after = gates.first[start] == start ? 0.0f : after + totals[block * P + m];
            }
            for (int block = 0; block < blocks; block++) end += ends[block * P + m];
            const int own = gates.first[token + block_tokens - 1];
#pragma unroll
            for (int t = 0; t < block_tokens; t++) {
                if (token + t >= count) continue;
                out[(token + t) * gate_row + m] = later[round][t] + (own <= token + t ? after : 0.0f)
                    + (token + t >= last ? end : 0.0f) - (1.0f - s[round][t]) * ds[round][t];
            }
        }
    }
};

}  // namespace gated_slots

/// dk, dv (B, T, N, ·) and dLogGates (B, T, N, M), with what comes through the state after the chunk, of gradient `gradients`
/// (B, N, chunks, P, K + V); `states` and `keeps` are those of the forward pass, `spreads` and `balance` of `gsa_read_gradients`.
/// Grid (chunks, N, B), block 4 C, shared `write_gradients_shared`: (C + max(P, C)) (K + V + 8) 2 + C (P + 4) 8 + C (P + 8) 2
/// + (3 C / 16 + 2) P · 4 + C · 4.
template <int K, int V, int M, int C>
__global__ void __launch_bounds__(
    4 * C, gated_slots::blocks_fitting(gated_slots::write_gradients_shared(K, V, M, C))) gsa_write_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ v, const float* __restrict__ logGates,
    const int* __restrict__ starts, const bf16* __restrict__ states, const float* __restrict__ keeps,
    const bf16* __restrict__ outGradient, const bf16* __restrict__ spreads, const float* __restrict__ balance,
    const bf16* __restrict__ gradients, bf16* __restrict__ dk, bf16* __restrict__ dv, float* __restrict__ dLogGates, int tokens,
    int group
) {
    using namespace gated_slots;
    using Tiles = WriteTiles<K, V, M, C>;
    constexpr int P = Tiles::P, X = K + V, row = Tiles::row, blocks = C / block_tokens;
    SHARED_MEMORY(memory);
    const Tiles tiles(memory);
    const int heads = gridDim.y, begin = blockIdx.x * C, count = min(C, tokens - begin);
    const int64_t token = static_cast<int64_t>(blockIdx.z) * tokens + begin, at = token * heads + blockIdx.y;
    const int64_t rows = static_cast<int64_t>(heads) * group, chunk = chunk_index();
    const int start = starts ? starts[token + count - 1] : 0, last = start > 0 ? start - begin : -1;
    const Share<blocks> share;

    const auto copy_head = [&](int head) {
        const int64_t line = token * rows + blockIdx.y * group + head;
        copy_tile<K>(tiles.reads, row, q + line * K, rows * K, C, count);
        copy_tile<V>(tiles.reads + K, row, outGradient + line * V, rows * V, C, count);
        copy_tile<2 * P>(tiles.spreads, Tiles::spread_row, spreads + line * 2 * P, rows * 2 * P, C, count);
    };
    copy_tile<K>(tiles.inputs, row, k + at * K, heads * K, C, count);
    copy_tile<V>(tiles.inputs + K, row, v + at * V, heads * V, C, count);
    copy_head(0);
    copy_async_commit();
    tiles.gates.prepare(
        logGates + at * M, static_cast<int64_t>(heads) * M, starts ? starts + token : nullptr, begin, count);
    copy_async_wait<0>();
    __syncthreads();
    tiles.gates.prepare_ends();

    // What the warps of a side do; barriers stand within, which the other side meets in a copy of its own.
    const auto compute = [&](auto width, int column, bf16* out) {
        constexpr int W = decltype(width)::value;
        const int own = share.block * block_tokens, part = share.side * P;
        float* through = tiles.through + own * Tiles::sums_row;
        float d[W / 8][4];
        clear(d);
        for (int head = 0; head < group; head++) {
            // When all have done with a head's reads, the next one's come, and at last the gradient.
            const auto meet = [&] {
                __syncthreads();
                if (head + 1 < group) copy_head(head + 1);
                else copy_tile<X>(tiles.gradient, row, gradients + chunk * P * X, X, P, P);
                copy_async_commit();
            };
            // The sides by turns, since both add to the same sums. A warp takes the sums of one block and the inputs of the block
            // that has as many targets as the other lacks, so that all warps have as many.
#pragma unroll 1
            for (int turn = 0; turn < 2; turn++) {
                if (turn == share.side) {
                    const int source = blocks - 1 - share.block;
                    float* sums = tiles.sums + source * block_tokens * Tiles::sums_row;
                    float x[P / 8][4];
                    tiles.template written_gradient<W>(x, source, part, column);
                    if (turn == 1) meet();
                    if (turn == 0 && head == 0) keep_rows<false>(sums, Tiles::sums_row, x);
                    else keep_rows<true>(sums, Tiles::sums_row, x);
                } else {
                    tiles.template add_inputs_gradient<W>(d, share.block, part, column);
                    if (turn == 1) meet();
                }
            }
            copy_async_wait<0>();
            __syncthreads();
        }
        tiles.template add_end_gradient<W>(d, share.block, column, last);
        store_rows(out + (at + static_cast<int64_t>(own) * heads) * W, static_cast<int64_t>(heads) * W, count - own, d);
        float x[P / 8][4];
        tiles.template end_written_gradient<W>(x, share.block, column, last);
        if (share.side == 0) keep_rows<false>(through, Tiles::sums_row, x);
        __syncthreads();
        if (share.side == 1) keep_rows<true>(through, Tiles::sums_row, x);
    };
    if constexpr (K == V) compute(Width<K>(), share.side * K, share.side == 0 ? dk : dv);
    else if (share.side == 0) compute(Width<K>(), 0, dk);
    else compute(Width<V>(), K, dv);
    tiles.log_gates_gradient(
        logGates + at * M, balance + at * P, states + chunk * P * X, keeps + chunk * P, dLogGates + at * M, heads, count, last);
}
