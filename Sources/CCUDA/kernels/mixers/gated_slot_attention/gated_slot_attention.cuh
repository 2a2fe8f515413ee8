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
// bfloat16 have rows of [keys | values], padded by 8 elements so that the 8 rows of an ldmatrix lie in different banks.
#pragma once
#include "device.cuh"

namespace gated_slots {

constexpr int block_tokens = 16;
constexpr float least_log_gate = -7.0f;

constexpr int padded_slots(int slots) { return (slots + 15) / 16 * 16; }
/// Elements from row to row of a shared tile.
constexpr int tile_row(int width) { return width + 8; }

__device__ inline int lane_index() { return threadIdx.x % 32; }

// MARK: Tiles

/// Fragments of the matrix [row][column] at `tile`: a of `mma` as it lies, or b of two products side by side with the
/// contraction along the rows (`across`).
__device__ inline const bf16* straight(const bf16* tile, int row) {
    return tile + lane_index() % 16 * row + lane_index() / 16 * 8;
}
/// The same for a of the transposed matrix, or b with the contraction along the columns.
__device__ inline const bf16* crossed(const bf16* tile, int row) {
    return tile + (lane_index() / 16 * 8 + lane_index() % 8) * row + lane_index() / 8 % 2 * 8;
}

template <int depth>
__device__ inline void load_rows(uint32_t (&a)[depth / 16][4], const bf16* tile, int row) {
#pragma unroll
    for (int k = 0; k < depth / 16; k++) load_matrix_x4(a[k], straight(tile + k * 16, row));
}

/// The same from device memory, rows `row` apart, of which the first `count` exist.
template <int depth>
__device__ inline void fetch_rows(uint32_t (&a)[depth / 16][4], const bf16* from, int64_t row, int count) {
    const int line = lane_index() / 4, column = lane_index() % 4 * 2;
#pragma unroll
    for (int k = 0; k < depth / 16; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int t = line + i % 2 * 8;
            a[k][i] = t < count ? *reinterpret_cast<const uint32_t*>(from + t * row + k * 16 + i / 2 * 8 + column) : 0u;
        }
    }
}

template <int width> __device__ inline void clear(float (&d)[width][4]) {
#pragma unroll
    for (int n = 0; n < width; n++) d[n][0] = d[n][1] = d[n][2] = d[n][3] = 0.0f;
}

__device__ inline void mma_pair(float (&low)[4], float (&high)[4], const uint32_t (&a)[4], const uint32_t (&b)[4]) {
    const uint32_t first[2] = {b[0], b[1]}, second[2] = {b[2], b[3]};
    mma(low, a, first);
    mma(high, a, second);
}

/// d (16, N) += a (16, depth) · tileᵀ, tile (N, depth).
template <int tiles, int steps>
__device__ inline void add_product_transposed(
    float (&d)[tiles][4], const uint32_t (&a)[steps][4], const bf16* tile, int row
) {
#pragma unroll
    for (int k = 0; k < steps; k++) {
#pragma unroll
        for (int n = 0; n < tiles; n += 2) {
            uint32_t b[4];
            load_matrix_x4(b, crossed(tile + n * 8 * row + k * 16, row));
            mma_pair(d[n], d[n + 1], a[k], b);
        }
    }
}

/// d (16, N) += a (16, depth) · tile, tile (depth, N).
template <int tiles, int steps>
__device__ inline void add_product(float (&d)[tiles][4], const uint32_t (&a)[steps][4], const bf16* tile, int row) {
#pragma unroll
    for (int k = 0; k < steps; k++) {
#pragma unroll
        for (int n = 0; n < tiles; n += 2) {
            uint32_t b[4];
            load_matrix_x4_transposed(b, straight(tile + k * 16 * row + n * 8, row));
            mma_pair(d[n], d[n + 1], a[k], b);
        }
    }
}

/// A product's result (16, 16 · steps) as the left operand of the next.
template <int steps> __device__ inline void pack_rows(uint32_t (&a)[steps][4], const float (&d)[2 * steps][4]) {
#pragma unroll
    for (int k = 0; k < steps; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) a[k][i] = pack_bf16(d[2 * k + i / 2][i % 2 * 2], d[2 * k + i / 2][i % 2 * 2 + 1]);
    }
}

/// d[·][m] *= factors[m].
template <int tiles> __device__ inline void scale_columns(float (&d)[tiles][4], const float* factors) {
#pragma unroll
    for (int n = 0; n < tiles; n++) {
        const float2 factor = *reinterpret_cast<const float2*>(factors + n * 8 + lane_index() % 4 * 2);
        d[n][0] *= factor.x, d[n][1] *= factor.y, d[n][2] *= factor.x, d[n][3] *= factor.y;
    }
}

/// Zeros in the rows that the state before the chunk does not reach.
template <int tiles> __device__ inline void keep_reached_rows(float (&d)[tiles][4], const int (&first)[2]) {
#pragma unroll
    for (int n = 0; n < tiles; n++) {
        if (first[0] >= 0) d[n][0] = d[n][1] = 0.0f;
        if (first[1] >= 0) d[n][2] = d[n][3] = 0.0f;
    }
}

/// Zeros where token j does not reach token t: rows t from `row`, columns j from `column`, first of this thread's two rows.
__device__ inline void keep_reaching(float (&d)[2][4], int row, int column, const int (&first)[2]) {
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int t = row + lane_index() / 4 + i / 2 * 8, j = column + n * 8 + lane_index() % 4 * 2 + i % 2;
            if (j > t || j < first[i / 2]) d[n][i] = 0.0f;
        }
    }
}

/// The same with rows j and columns t, first of all the chunk's tokens.
__device__ inline void keep_reached(float (&d)[2][4], int row, int column, const int* first) {
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int j = row + lane_index() / 4 + i / 2 * 8, t = column + n * 8 + lane_index() % 4 * 2 + i % 2;
            if (j > t || j < first[t]) d[n][i] = 0.0f;
        }
    }
}

__device__ inline uint32_t sum_pairs(uint32_t x, uint32_t y) {
    return pack_bf16(low_float(x) + low_float(y), high_float(x) + high_float(y));
}

/// Stores d (16, N) as bfloat16, its first `rows` rows, `row` elements apart, or adds it to what is there. Four lanes turn
/// their pairs of four products into 16 bytes each.
template <bool adding = false, int tiles>
__device__ inline void store_rows(bf16* out, int64_t row, int rows, const float (&d)[tiles][4]) {
    const int quarter = lane_index() % 4, line = lane_index() / 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        bf16* to = out + (line + half * 8) * row;
        const bool valid = line + half * 8 < rows;
#pragma unroll
        for (int n = 0; n + 4 <= tiles; n += 4) {
            float x[4], y[4];
#pragma unroll
            for (int i = 0; i < 4; i++) x[i] = __uint_as_float(pack_bf16(d[n + i][half * 2], d[n + i][half * 2 + 1]));
            const bool odd = quarter & 1, upper = quarter & 2;
            const float a = shuffle_xor(odd ? x[0] : x[1], 1), b = shuffle_xor(odd ? x[2] : x[3], 1);
            y[0] = odd ? a : x[0], y[1] = odd ? x[1] : a, y[2] = odd ? b : x[2], y[3] = odd ? x[3] : b;
            const float e = shuffle_xor(upper ? y[0] : y[2], 2), f = shuffle_xor(upper ? y[1] : y[3], 2);
            uint4 words = make_uint4(
                __float_as_uint(upper ? e : y[0]), __float_as_uint(upper ? f : y[1]), __float_as_uint(upper ? y[2] : e),
                __float_as_uint(upper ? y[3] : f));
            uint4* place = reinterpret_cast<uint4*>(to + (n + quarter) * 8);
            if (!valid) continue;
            if constexpr (adding) {
                const uint4 old = *place;
                words = make_uint4(
                    sum_pairs(words.x, old.x), sum_pairs(words.y, old.y), sum_pairs(words.z, old.z), sum_pairs(words.w, old.w));
            }
            *place = words;
        }
#pragma unroll
        for (int n = tiles / 4 * 4; n < tiles; n++) {
            uint32_t word = pack_bf16(d[n][half * 2], d[n][half * 2 + 1]);
            uint32_t* place = reinterpret_cast<uint32_t*>(to + n * 8 + quarter * 2);
            if (!valid) continue;
            if constexpr (adding) word = sum_pairs(word, *place);
            *place = word;
        }
    }
}

/// Begins to copy `rows` rows of `width` elements, of which the first `count` exist, into a shared tile.
template <int width>
__device__ inline void copy_tile(bf16* tile, int row, const bf16* from, int64_t from_row, int rows, int count) {
    for (int i = threadIdx.x; i < rows * (width / 8); i += blockDim.x) {
        const int line = i / (width / 8), column = i % (width / 8) * 8;
        const bool valid = line < count;
        copy_async(tile + line * row + column, from + (valid ? line : 0) * from_row + column, valid);
    }
}

// MARK: Gates

/// 1 - exp(g), to relative rounding also near g = 0.
__device__ inline float written(float g) {
    if (g < -0.25f) return 1.0f - exp_fast(g);
    float p = 1.0f / 720;
    p = p * g + 1.0f / 120;
    p = p * g + 1.0f / 24;
    p = p * g + 1.0f / 6;
    p = p * g + 0.5f;
    return -g * (p * g + 1.0f);
}

/// The log gates of one slot and a block's 16 tokens, `row` apart; 0 past the first `count`, which keeps and writes nothing.
__device__ inline void load_log_gates(float (&g)[block_tokens], const float* gates, int64_t row, int count) {
#pragma unroll
    for (int t = 0; t < block_tokens; t++) g[t] = t < count ? fmaxf(gates[t * row], least_log_gate) : 0.0f;
}

/// The three tables above in shared memory, and the chunk's documents.
template <int slots, int C> struct GateTables {
    static constexpr int P = padded_slots(slots), row = tile_row(P), blocks = C / block_tokens;
    static constexpr int bytes = C * row * 6 + 2 * blocks * P * 4 + C * 4;
    float* ratios;  // (C, row)
    float* falls;   // (blocks, P)
    float* rises;   // (blocks, P)
    int* first;     // (C)
    bf16* weights;  // (C, row)

    __device__ explicit GateTables(unsigned char* memory) {
        ratios = reinterpret_cast<float*>(memory);
        falls = ratios + C * row;
        rises = falls + blocks * P;
        first = reinterpret_cast<int*>(rises + blocks * P);
        weights = reinterpret_cast<bf16*>(first + C);
    }

    /// gates: the chunk's first token's; starts: likewise, or null; `begin` the chunk's first token in the row. The block's
    /// threads call it together; a barrier must follow.
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
                ratios[(token + t) * row + m] = exp_fast(sum - middle);
                weights[(token + t) * row + m] = to_bf16(written(g[t]) * exp_fast(middle - sum));
            }
            rises[item] = exp_fast(middle);
            if (block + 1 < blocks) falls[item + P] = exp_fast(sum - middle);
            if (block == 0) falls[item] = 1.0f;
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

/// Sums over the columns of rows held by four lanes.
__device__ inline float row_sum(float x) {
    x += shuffle_xor(x, 1);
    return x + shuffle_xor(x, 2);
}
__device__ inline float row_max(float x) {
    x = fmaxf(x, shuffle_xor(x, 1));
    return fmaxf(x, shuffle_xor(x, 2));
}

/// p = softmax over the slots of scale · logits.
template <int slots>
__device__ inline void softmax_slots(
    float (&p)[padded_slots(slots) / 8][4], const float (&logits)[padded_slots(slots) / 8][4], float scale
) {
    constexpr int tiles = padded_slots(slots) / 8;
    float largest[2] = {-INFINITY_F, -INFINITY_F}, sum[2] = {0.0f, 0.0f};
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            p[n][i] = n * 8 + lane_index() % 4 * 2 + i % 2 < slots ? scale * logits[n][i] : -INFINITY_F;
            largest[i / 2] = fmaxf(largest[i / 2], p[n][i]);
        }
    }
    largest[0] = row_max(largest[0]), largest[1] = row_max(largest[1]);
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            p[n][i] = exp_fast(p[n][i] - largest[i / 2]);
            sum[i / 2] += p[n][i];
        }
    }
    const float inverse[2] = {1.0f / row_sum(sum[0]), 1.0f / row_sum(sum[1])};
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) p[n][i] *= inverse[i / 2];
    }
}

// MARK: The chunk's end

/// Row of this thread block in (B, N, chunks), for grids of (chunks, N, B).
__device__ inline int64_t chunk_index() {
    return (static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
}

/// What a chunk's tokens leave in its final state: weights (C, row) = exp(F_C - F_j) s_j ≤ 1, 0 for tokens of documents that
/// ended, `first` the chunk-local start of the last one; and exp(F_C - F_j) itself in `decays`, unless null. `totals` has
/// room for (C / 16, P). Holds a barrier, and another one must follow.
template <int slots, int C>
__device__ inline void prepare_end(
    const float* gates, int64_t gate_row, int count, int first, float* totals, bf16* weights, float* decays
) {
    constexpr int P = padded_slots(slots), row = tile_row(P), blocks = C / block_tokens;
    for (int item = threadIdx.x; item < blocks * P; item += blockDim.x) {
        const int token = item / P * block_tokens, m = item % P;
        float g[block_tokens], sum = 0.0f;
        load_log_gates(g, gates + token * gate_row + m, gate_row, m < slots ? count - token : 0);
#pragma unroll
        for (int t = 0; t < block_tokens; t++) sum += g[t];
        totals[item] = sum;
    }
    __syncthreads();
    for (int item = threadIdx.x; item < blocks * P; item += blockDim.x) {
        const int token = item / P * block_tokens, m = item % P;
        float g[block_tokens], sum = 0.0f;
        load_log_gates(g, gates + token * gate_row + m, gate_row, m < slots ? count - token : 0);
        for (int later = item / P + 1; later < blocks; later++) sum += totals[later * P + m];
#pragma unroll
        for (int t = block_tokens - 1; t >= 0; t--) {
            const float decay = token + t >= first ? exp_fast(sum) : 0.0f;
            weights[(token + t) * row + m] = to_bf16(written(g[t]) * decay);
            if (decays) decays[(token + t) * row + m] = decay;
            sum += g[t];
        }
    }
}

}  // namespace gated_slots
