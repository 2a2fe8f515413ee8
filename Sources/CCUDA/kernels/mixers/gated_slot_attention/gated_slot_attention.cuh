// Gated Slot Attention in chunks of C tokens on tensor cores: what its forward and backward kernels share.
//
// Chunks are cut into blocks of 16 tokens. With f the log gates, s = 1 - exp(f), φ_t[m] the sum of f from the first token of
// t's block to t, and μ_I that sum at token 7 of block I, everything that decays is written by four tables:
//
//     ratio_t  = exp(φ_t - μ_I)           from the middle of t's block to t (or, above 1, back from there)
//     weight_j = s_j / ratio_j            what j writes, as seen from the middle of its own block
//     rise_I   = exp(μ_I)                 from the start of block I to its middle
//     fall_I   = exp(φ_end(I-1) - μ_{I-1})                from the middle of the block before I to its end; 1 for I = 0
//
// so that exp(F_t - F_j) s_j = ratio_t · (rise fall)_I ⋯ (rise fall)_{J+1} · weight_j for t in block I, j in block J ≤ I,
// with F the sum of f. A sum over j goes from block to block (acc ← acc · fall · rise + the block's product), and its
// transpose the other way. Log gates are held at -7 at least, a gate of 9e-4, which bfloat16 does not tell
// from 0 beside 1: at most 8 tokens lie on one side of a middle, and exp(±56) leaves float32 room for the scores and gradients
// that it is multiplied by. (At -10 keys and queries as large as Qwen 2.5's, whose products go beyond 10,000, overflowed.) The
// product of a fall and a rise need not be in its range: they are applied one by one.
//
// Tokens reach one another within documents only: `starts` (B, T), or null for one document a row, has the first token of
// every token's document. Chunk-local, `first[t]` < 0 says that the state before the chunk reaches t too.
//
// Slots are padded to P = M rounded up to 16: padding writes nothing and has no weight in the softmax. Shared tiles of
// bfloat16 have rows of [keys | values].
#pragma once
#include "tiles.cuh"

namespace gated_slots {

using namespace tiles;

constexpr float least_log_gate = -7.0f;

constexpr int padded_slots(int slots) { return (slots + 15) / 16 * 16; }

// MARK: Shares

/// Bytes of shared memory that two blocks of a multiprocessor may ask for: 228 KiB, less 1 KiB that each takes besides.
constexpr int shared_limit = 226 << 10;
constexpr int blocks_fitting(int bytes) { return 2 * bytes <= shared_limit ? 2 : 1; }

/// Two warps share a block of tokens: the warp's side, 0 or 1, and block, with the longest of one side beside the shortest of the
/// other on a scheduler.
template <int blocks> struct Share {
    int side, block;
    __device__ Share() {
        const int warp = threadIdx.x / 32;
        side = warp / blocks;
        block = side == 0 ? warp : 2 * blocks - 1 - warp;
    }
};

/// Stores d (16, N) into rows of floats, or adds it to them.
template <bool adding, int tiles> __device__ inline void keep_rows(float* to, int row, const float (&d)[tiles][4]) {
    to += lane_index() / 4 * row + lane_index() % 4 * 2;
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float2* place = reinterpret_cast<float2*>(to + half * 8 * row + n * 8);
            const float2 old = adding ? *place : make_float2(0.0f, 0.0f);
            *place = make_float2(old.x + d[n][half * 2], old.y + d[n][half * 2 + 1]);
        }
    }
}

/// Of results d (16, N) of two warps, each takes 8 rows, 8 · side and on: it leaves the others in `between` (16, row).
template <int tiles> __device__ inline void leave_rows(float* between, int row, const float (&d)[tiles][4], int side) {
    float* to = between + (lane_index() / 4 + 8 - side * 8) * row + lane_index() % 4 * 2;
#pragma unroll
    for (int n = 0; n < tiles; n++) {
        *reinterpret_cast<float2*>(to + n * 8) = side == 0 ? make_float2(d[n][2], d[n][3]) : make_float2(d[n][0], d[n][1]);
    }
}
/// Its 8 rows of its own result, and of what the other warp left.
template <int tiles> __device__ inline void own_rows(float (&own)[tiles][2], const float (&d)[tiles][4], int side) {
#pragma unroll
    for (int n = 0; n < tiles; n++) {
        own[n][0] = side == 0 ? d[n][0] : d[n][2];
        own[n][1] = side == 0 ? d[n][1] : d[n][3];
    }
}
template <int tiles> __device__ inline void left_rows(float (&left)[tiles][2], const float* between, int row, int side) {
    const float* from = between + (lane_index() / 4 + side * 8) * row + lane_index() % 4 * 2;
#pragma unroll
    for (int n = 0; n < tiles; n++) {
        const float2 x = *reinterpret_cast<const float2*>(from + n * 8);
        left[n][0] = x.x, left[n][1] = x.y;
    }
}

// MARK: Gates

/// e^x in two instructions; 0 where that is below 2^-126.
__device__ inline float exp_flushed(float x) { return exp2_fast(x * 1.44269504f); }

/// 1 - exp(g), to relative rounding also near g = 0. Both forms are computed: a branch for each of many tokens costs more.
__device__ inline float written(float g) {
    const float far = 1.0f - exp_flushed(g);
    float p = 1.0f / 720;
    p = p * g + 1.0f / 120;
    p = p * g + 1.0f / 24;
    p = p * g + 1.0f / 6;
    p = p * g + 0.5f;
    const float near = -g * (p * g + 1.0f);
    return g < -0.25f ? far : near;
}

/// The log gates of one slot and a block's 16 tokens, `row` apart; 0 past the first `count`, which keeps and writes nothing.
__device__ inline void load_log_gates(float (&g)[block_tokens], const float* gates, int64_t row, int count) {
#pragma unroll
    for (int t = 0; t < block_tokens; t++) g[t] = t < count ? fmaxf(gates[t * row], least_log_gate) : 0.0f;
}

/// The tables above in shared memory, and the chunk's documents. For what goes through the chunk's end, `ending`, there are no ratios
/// but `ends`, exp(F_C) as seen from the middle of every block, and a last fall to the chunk's end.
template <int slots, int C, bool ending = false> struct GateTables {
    static constexpr int P = padded_slots(slots), row = tile_row(P), blocks = C / block_tokens;
    static constexpr int bytes = C * row * (ending ? 2 : 6) + (ending ? 3 * blocks + 1 : 2 * blocks) * P * 4 + C * 4;
    float* ratios;  // (C, row)
    float* falls;   // (blocks, P), and one more for the end
    float* rises;   // (blocks, P)
    float* ends;    // (blocks, P)
    int* first;     // (C)
    bf16* weights;  // (C, row)

    __device__ explicit GateTables(unsigned char* memory) {
        ratios = reinterpret_cast<float*>(memory);
        falls = ratios + (ending ? 0 : C * row);
        rises = falls + (blocks + ending) * P;
        ends = rises + blocks * P;
        first = reinterpret_cast<int*>(ends + (ending ? blocks * P : 0));
        weights = reinterpret_cast<bf16*>(first + C);
    }

    /// All but `ends`. gates: the chunk's first token's; starts: likewise, or null; `begin` the chunk's first token in the row. The
    /// block's threads call it together; a barrier must follow.
    __device__ void prepare(const float* gates, int64_t gate_row, const int* starts, int begin, int count) const {
        for (int t = threadIdx.x; t < C; t += blockDim.x) {
            const int start = starts && t < count ? starts[t] : 0;
            first[t] = start > 0 ? start - begin : -1;
        }
        for (int item = threadIdx.x; item < blocks * P; item += blockDim.x) {
            const int block = item / P, m = item % P, token = block * block_tokens;
            float g[block_tokens];
            load_log_gates(g, gates + token * gate_row + m, gate_row, m < slots ? count - token : 0);
            float middle = 0.0f, sum = 0.0f;
#pragma unroll
            for (int t = 0; t < block_tokens / 2; t++) middle += g[t];
#pragma unroll
            for (int t = 0; t < block_tokens; t++) {
                sum += g[t];
                if (!ending) ratios[(token + t) * row + m] = exp_flushed(sum - middle);
                weights[(token + t) * row + m] = to_bf16(written(g[t]) * exp_flushed(middle - sum));
            }
            rises[item] = exp_flushed(middle);
            if (ending || block + 1 < blocks) falls[item + P] = exp_flushed(sum - middle);
            if (block == 0) falls[item] = 1.0f;
        }
    }

    /// `ends`, after a barrier behind `prepare`; another one must follow.
    __device__ void prepare_ends() const {
        for (int item = threadIdx.x; item < blocks * P; item += blockDim.x) {
            const int block = item / P, m = item % P;
            float end = falls[item + P];
            for (int later = block + 1; later < blocks; later++) end *= rises[later * P + m] * falls[(later + 1) * P + m];
            ends[item] = end;
        }
    }
};

// MARK: Reading and spreading

/// x_t · S_t[m] / ratio_t[m] for the 16 tokens t of a block, S_t the state of slot m after token t, keys with x = q or values
/// with x = do: state (P, X) before the chunk, inputs (C, X) the chunk's k or v.
template <int X, int slots, int C>
__device__ inline void read_slots(
    float (&d)[padded_slots(slots) / 8][4], const uint32_t (&x)[X / 16][4], int block, const bf16* inputs, const bf16* state,
    int row, const GateTables<slots, C>& gates, const int (&first)[2]
) {
    clear(d);
    add_product_transposed(d, x, state, row);
    keep_reached_rows(d, first);
    for (int source = 0; source <= block; source++) {
        scale_columns(d, gates.falls + source * gates.P);
        scale_columns(d, gates.rises + source * gates.P);
        float products[2][4];
        uint32_t a[1][4];
        clear(products);
        add_product_transposed(products, x, inputs + source * block_tokens * row, row);
        keep_reaching(products, block * block_tokens, source * block_tokens, first);
        pack_rows(a, products);
        add_product(d, a, gates.weights + source * block_tokens * gates.row, gates.row);
    }
}

/// The transpose: Σ_m p_t[m] S_t[m] (16, X) from u = p ⊙ ratio, which it uses up.
template <int X, int slots, int C>
__device__ inline void spread_slots(
    float (&out)[X / 8][4], float (&u)[padded_slots(slots) / 8][4], int block, const bf16* inputs, const bf16* state, int row,
    const GateTables<slots, C>& gates, const int (&first)[2]
) {
    constexpr int P = padded_slots(slots);
    uint32_t a[P / 16][4];
    clear(out);
    for (int source = block; source >= 0; source--) {
        float products[2][4];
        uint32_t b[1][4];
        pack_rows(a, u);
        clear(products);
        add_product_transposed(products, a, gates.weights + source * block_tokens * gates.row, gates.row);
        keep_reaching(products, block * block_tokens, source * block_tokens, first);
        pack_rows(b, products);
        add_product(out, b, inputs + source * block_tokens * row, row);
        scale_columns(u, gates.rises + source * P);
        scale_columns(u, gates.falls + source * P);
    }
    keep_reached_rows(u, first);
    pack_rows(a, u);
    add_product(out, a, state, row);
}

/// d[t][m] *= ratio_t[m].
template <int slots, int C>
__device__ inline void scale_by_ratios(float (&d)[padded_slots(slots) / 8][4], int block, const GateTables<slots, C>& gates) {
    const float* ratios = gates.ratios + (block * block_tokens + lane_index() / 4) * gates.row + lane_index() % 4 * 2;
#pragma unroll
    for (int n = 0; n < gates.P / 8; n++) {
        const float2 low = *reinterpret_cast<const float2*>(ratios + n * 8);
        const float2 high = *reinterpret_cast<const float2*>(ratios + 8 * gates.row + n * 8);
        d[n][0] *= low.x, d[n][1] *= low.y, d[n][2] *= high.x, d[n][3] *= high.y;
    }
}

/// p = softmax over the slots of scale · p, of 8 rows.
template <int slots> __device__ inline void softmax_slots(float (&p)[padded_slots(slots) / 8][2], float scale) {
    constexpr int tiles = padded_slots(slots) / 8;
    float largest = -INFINITY_F, sum = 0.0f;
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            p[n][i] = n * 8 + lane_index() % 4 * 2 + i < slots ? scale * p[n][i] : -INFINITY_F;
            largest = fmaxf(largest, p[n][i]);
        }
    }
    largest = row_max(largest);
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            p[n][i] = exp_flushed(p[n][i] - largest);
            sum += p[n][i];
        }
    }
    const float inverse = 1.0f / row_sum(sum);
#pragma unroll
    for (int n = 0; n < tiles; n++) p[n][0] *= inverse, p[n][1] *= inverse;
}

// MARK: The chunk's end

/// What a chunk's tokens leave in its final state: weights (C, row) = exp(F_C - F_j) s_j ≤ 1, 0 for tokens of documents that
/// ended, `first` the chunk-local start of the last one. `totals` has room for (C / 16, P). Holds a barrier, and another one
/// must follow.
template <int slots, int C, int threads>
__device__ inline void prepare_end(
    const float* gates, int64_t gate_row, int count, int first, float* totals, bf16* weights
) {
    constexpr int P = padded_slots(slots), row = tile_row(P), blocks = C / block_tokens, items = blocks * P;
    constexpr int rounds = (items + threads - 1) / threads;
    float g[rounds][block_tokens];
#pragma unroll
    for (int round = 0; round < rounds; round++) {
        const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
        if (item >= items) continue;
        float sum = 0.0f;
        load_log_gates(g[round], gates + token * gate_row + m, gate_row, m < slots ? count - token : 0);
#pragma unroll
        for (int t = 0; t < block_tokens; t++) sum += g[round][t];
        totals[item] = sum;
    }
    __syncthreads();
#pragma unroll
    for (int round = 0; round < rounds; round++) {
        const int item = threadIdx.x + round * threads, token = item / P * block_tokens, m = item % P;
        if (item >= items) continue;
        float sum = 0.0f;
        for (int later = item / P + 1; later < blocks; later++) sum += totals[later * P + m];
#pragma unroll
        for (int t = block_tokens - 1; t >= 0; t--) {
            const float decay = token + t >= first ? exp_flushed(sum) : 0.0f;
            weights[(token + t) * row + m] = to_bf16(written(g[round][t]) * decay);
            sum += g[round][t];
        }
    }
}

}  // namespace gated_slots
