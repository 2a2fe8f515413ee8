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
