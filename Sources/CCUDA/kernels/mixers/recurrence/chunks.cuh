// Recurrences (recurrence.cuh) in chunks of C tokens on tensor cores. With F_t the sum of log decays from the chunk's first
// token to t, S the state before the chunk, and all sums over tokens of the same document,
//
//     o_t = scale · (S_0ᵀ (exp(F_t) ⊙ q_t) + Σ_{j≤t} (q_t · exp(F_t - F_j) ⊙ k_j) u_j)
//     S_C = exp(F_C) ⊙ S_0 + Σ_j (exp(F_C - F_j) ⊙ k_j) u_jᵀ
//
// where a delta rule's u_t = β_t w_t solve (I + M Diag(β)) w = v - (exp(F) ⊙ k) S_0 with M_tj = k_t · exp(F_t - F_j) ⊙ k_j for
// j < t, so that w = (I + M Diag(β))⁻¹ v - W S_0 (the WY form of Gated DeltaNet, arXiv 2412.06464 §3.3).
//
// A decay for the whole head is a factor of products: exp(F_t - F_j), never above 1. Decays per channel belong to the operands.
// As in gated_slot_attention.cuh they are taken apart in the middle of blocks of 16 tokens: with φ_t the sum from the first
// token of t's block I to t, and μ_I that sum at token 7,
//
//     ratio_t = exp(φ_t - μ_I)    rise_I = exp(μ_I)    fall_I = exp(φ_end(I-1) - μ_{I-1}), 1 for I = 0
//     exp(F_t - F_j) = ratio_t · (rise fall)_I ⋯ (rise fall)_{J+1} / ratio_j
//
// Keys as they write are lowered, k / ratio; what reads is raised, x · ratio. Log decays of channels are held at -7 at least.
#pragma once
#include "tiles.cuh"

namespace recurrences {

using namespace tiles;

constexpr float least_log_decay = -7.0f;

/// Floats a channel of the tables of a chunk: falls (blocks + 1, the last to the chunk's end), rises (blocks), and what the chunk
/// keeps of the state before it.
constexpr int table_rows(int C) { return 2 * (C / block_tokens) + 2; }

/// A constant as a type, for functions that are compiled for its value.
template <bool constant> struct Constant { static constexpr bool value = constant; };

// MARK: Operands

/// What this thread's pairs of a left operand's columns are multiplied by: column k · 16 + half · 8 + 2 (lane % 4).
__device__ inline float2 pair_of(const float* factors, int k, int half) {
    return *reinterpret_cast<const float2*>(factors + k * 16 + half * 8 + lane_index() % 4 * 2);
}

/// x[·][c] *= factors[c].
template <int steps> __device__ inline void scale_operand(uint32_t (&x)[steps][4], const float* factors) {
#pragma unroll
    for (int k = 0; k < steps; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 factor = pair_of(factors, k, i / 2);
            x[k][i] = pack_bf16(low_float(x[k][i]) * factor.x, high_float(x[k][i]) * factor.y);
        }
    }
}

/// x[t][·] *= factors of this thread's two rows.
template <int steps> __device__ inline void scale_operand_rows(uint32_t (&x)[steps][4], float upper, float lower) {
#pragma unroll
    for (int k = 0; k < steps; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float factor = i % 2 ? lower : upper;
            x[k][i] = pack_bf16(low_float(x[k][i]) * factor, high_float(x[k][i]) * factor);
        }
    }
}

/// Begins to copy `count` floats that are `step` apart, of which the first `valid` exist, zeros for the others; thread `thread` of
/// `threads`.
__device__ inline void copy_floats_by(
    int thread, int threads, float* shared, const float* from, int64_t step, int count, int valid
) {
    for (int i = thread; i < count; i += threads) copy_async_float(shared + i, from + (i < valid ? i : 0) * step, i < valid);
}
/// The same of floats side by side by all threads of the block.
__device__ inline void copy_floats(float* shared, const float* from, int count) {
    copy_floats_by(threadIdx.x, blockDim.x, shared, from, 1, count, count);
}

// MARK: Decays

/// What a chunk's kernels know of its decays and documents; a decay for the whole head.
template <int K, int C, bool channels> struct Decays {
    static constexpr int blocks = C / block_tokens, bytes = 2 * C * 4;
    float* sums;  // (C): F
    int* first;   // (C)

    /// `tables` (B, N, chunks, C) are F, `ratios` unused. Begins copies; a wait and a barrier must follow.
    __device__ Decays(
        unsigned char* memory, const float* tables, const bf16*, const int* starts, int64_t chunk, int64_t, int, int begin,
        int count
    ) : sums(reinterpret_cast<float*>(memory)), first(reinterpret_cast<int*>(sums + C)) {
        copy_floats(sums, tables + chunk * C, C);
        find_documents(first, starts, begin, count);
    }

    __device__ static void find_documents(int* first, const int* starts, int begin, int count) {
        for (int t = threadIdx.x; t < C; t += blockDim.x) {
            const int start = starts && t < count ? starts[t] : 0;
            first[t] = start > 0 ? start - begin : -1;
        }
    }

    /// exp(F_t) where the state before the chunk reaches t, 0 elsewhere.
    __device__ float reach(int t) const { return first[t] < 0 ? exp_fast(sums[t]) : 0.0f; }
    /// exp(F_C - F_j) where token j reaches the state after the chunk.
    __device__ float left(int j, int count) const {
        return j >= first[count - 1] ? exp_fast(sums[C - 1] - sums[j]) : 0.0f;
    }

    /// Products of raised rows t from block `target` and lowered columns j from block `source`: 0 where j does not reach t, or
    /// is t and `strict`.
    template <bool strict> __device__ void weigh(float (&d)[2][4], int target, int source) const {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int t = target * block_tokens + lane_index() / 4 + i * 8, start = first[t];
            const float sum = sums[t];
#pragma unroll
            for (int n = 0; n < 2; n++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const int j = source * block_tokens + n * 8 + lane_index() % 4 * 2 + e;
                    d[n][i * 2 + e] = j + strict <= t && j >= start ? d[n][i * 2 + e] * exp_fast(sum - sums[j]) : 0.0f;
                }
            }
        }
    }
    /// The same with rows j and columns t.
    template <bool strict> __device__ void weigh_written(float (&d)[2][4], int source, int target) const {
#pragma unroll
        for (int n = 0; n < 2; n++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                const int t = target * block_tokens + n * 8 + lane_index() % 4 * 2 + e, start = first[t];
                const float sum = sums[t];
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int j = source * block_tokens + lane_index() / 4 + i * 8;
                    d[n][i * 2 + e] = j + strict <= t && j >= start ? d[n][i * 2 + e] * exp_fast(sum - sums[j]) : 0.0f;
                }
            }
        }
    }

    /// Rows of a block's tile or operand to where they meet lowered keys of the same block.
    __device__ void raise_tile(bf16*, int) const {}
    template <int steps> __device__ void raise(uint32_t (&)[steps][4], int) const {}
    /// Columns c and c + 1 of row t, raised.
    __device__ uint32_t raised_pair(uint32_t pair, int, int) const { return pair; }
    /// An operand that reads, from the middle of `block` to that of the block before, or to the chunk's start.
    template <int steps> __device__ void to_earlier(uint32_t (&)[steps][4], int) const {}
    /// An operand that writes, from the middle of the block before `block` to its own.
    template <int steps> __device__ void to_later(uint32_t (&)[steps][4], int) const {}
    /// An operand of block `block` that has come to the chunk's start, as it reads the state there.
    template <int steps> __device__ void to_start(uint32_t (&x)[steps][4], int block) const {
        const int t = block * block_tokens + lane_index() / 4;
        scale_operand_rows(x, reach(t), reach(t + 8));
    }
    /// What columns t of a transposed raised tile are multiplied by where they meet the state before the chunk.
    __device__ float start_factor(int t) const { return reach(t); }

    /// Sums (16, K) over lowered keys, in order: from the state before the chunk, from block to block, to the rows of `block`.
    template <int tiles> __device__ void enter(float (&d)[tiles][4], int block) const {
        const int t = block * block_tokens + lane_index() / 4;
        scale_rows(d, reach(t), reach(t + 8));
    }
    template <int tiles> __device__ void advance(float (&)[tiles][4], int) const {}
    template <int tiles> __device__ void leave(float (&)[tiles][4], int) const {}

    /// Sums (16, K) over raised readers, from the state after the chunk back to the rows of `block`.
    template <int tiles> __device__ void enter_back(float (&d)[tiles][4], int block, int count) const {
        const int j = block * block_tokens + lane_index() / 4;
        scale_rows(d, left(j, count), left(j + 8, count));
    }
    template <int tiles> __device__ void retreat(float (&)[tiles][4], int) const {}
    /// Sums (16, K) over raised rows, from the middle of `block` to that of the block before, or the chunk's start.
    template <int tiles> __device__ void retreat_columns(float (&)[tiles][4], int) const {}
    template <int tiles> __device__ void leave_back(float (&)[tiles][4], int) const {}
    /// Rows (16, X) of channels from m on of what goes to the state before the chunk, from the middle of `block`.
    template <int tiles> __device__ void retreat_rows(float (&)[tiles][4], int, int) const {}
};

/// A decay for every channel.
template <int K, int C> struct Decays<K, C, true> {
    static constexpr int blocks = C / block_tokens, row = tile_row(K), table = (2 * blocks + 1) * K;
    static constexpr int bytes = table * 4 + C * 4 + C * row * 2;
    float* falls;  // (blocks + 1, K)
    float* rises;  // (blocks, K)
    int* first;    // (C)
    bf16* ratios;  // (C, row)

    /// `tables` (B, N, chunks, table_rows(C), K); `ratios` of the chunk's first token, rows `step` apart.
    __device__ Decays(
        unsigned char* memory, const float* tables, const bf16* ratiosFrom, const int* starts, int64_t chunk, int64_t at,
        int heads, int begin, int count
    ) : falls(reinterpret_cast<float*>(memory)), rises(falls + (blocks + 1) * K), first(reinterpret_cast<int*>(falls + table)),
        ratios(reinterpret_cast<bf16*>(first + C)) {
        copy_tile<K>(ratios, row, ratiosFrom + at * K, static_cast<int64_t>(heads) * K, C, count);
        copy_floats(falls, tables + chunk * table_rows(C) * K, table);
        Decays<K, C, false>::find_documents(first, starts, begin, count);
    }

    template <bool strict> __device__ void weigh(float (&d)[2][4], int target, int source) const {
        const int t = target * block_tokens + lane_index() / 4;
        const int reached[2] = {first[t], first[t + 8]};
        keep_reaching<strict>(d, target * block_tokens, source * block_tokens, reached);
    }
    template <bool strict> __device__ void weigh_written(float (&d)[2][4], int source, int target) const {
        keep_reached<strict>(d, source * block_tokens, target * block_tokens, first);
    }

    /// The first `count` rows; the others hold zeros.
    __device__ void raise_tile(bf16* tile, int count) const {
        for (int i = threadIdx.x; i < count * (K / 8); i += blockDim.x) {
            const int place = i / (K / 8) * row + i % (K / 8) * 8;
            uint4 x = *reinterpret_cast<const uint4*>(tile + place);
            const uint4 r = *reinterpret_cast<const uint4*>(ratios + place);
            x.x = pack_bf16(low_float(x.x) * low_float(r.x), high_float(x.x) * high_float(r.x));
            x.y = pack_bf16(low_float(x.y) * low_float(r.y), high_float(x.y) * high_float(r.y));
            x.z = pack_bf16(low_float(x.z) * low_float(r.z), high_float(x.z) * high_float(r.z));
            x.w = pack_bf16(low_float(x.w) * low_float(r.w), high_float(x.w) * high_float(r.w));
            *reinterpret_cast<uint4*>(tile + place) = x;
        }
    }
    __device__ uint32_t ratio_pair(int t, int column) const {
        return *reinterpret_cast<const uint32_t*>(ratios + t * row + column);
    }
    __device__ uint32_t raised_pair(uint32_t pair, int t, int c) const {
        const uint32_t r = ratio_pair(t, c);
        return pack_bf16(low_float(pair) * low_float(r), high_float(pair) * high_float(r));
    }
    template <int steps> __device__ void raise(uint32_t (&x)[steps][4], int block) const {
#pragma unroll
        for (int k = 0; k < steps; k++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                x[k][i] = raised_pair(
                    x[k][i], block * block_tokens + lane_index() / 4 + i % 2 * 8, k * 16 + i / 2 * 8 + lane_index() % 4 * 2);
            }
        }
    }
    template <int steps> __device__ void to_earlier(uint32_t (&x)[steps][4], int block) const {
        scale_operand(x, rises + block * K);
        if (block > 0) scale_operand(x, falls + block * K);
    }
    template <int steps> __device__ void to_later(uint32_t (&x)[steps][4], int block) const {
        scale_operand(x, falls + block * K);
        scale_operand(x, rises + block * K);
    }
    template <int steps> __device__ void to_start(uint32_t (&x)[steps][4], int block) const {
        const int t = block * block_tokens + lane_index() / 4;
#pragma unroll
        for (int k = 0; k < steps; k++) {
#pragma unroll
            for (int i = 0; i < 4; i++) x[k][i] = first[t + i % 2 * 8] < 0 ? x[k][i] : 0u;
        }
    }
    __device__ float start_factor(int t) const { return first[t] < 0 ? 1.0f : 0.0f; }

    template <int tiles> __device__ void enter(float (&d)[tiles][4], int block) const {
        const int t = block * block_tokens + lane_index() / 4;
        const int reached[2] = {first[t], first[t + 8]};
        keep_reached_rows(d, reached);
    }
    template <int tiles> __device__ void advance(float (&d)[tiles][4], int source) const {
        scale_columns(d, falls + source * K);
        scale_columns(d, rises + source * K);
    }
    /// d[t][·] = change(d[t][·], ratio_t) in the rows of `block`.
    template <int tiles, typename Change>
    __device__ void by_ratios(float (&d)[tiles][4], int block, Change change) const {
        const int t = block * block_tokens + lane_index() / 4;
#pragma unroll
        for (int n = 0; n < tiles; n++) {
            const uint32_t upper = ratio_pair(t, n * 8 + lane_index() % 4 * 2);
            const uint32_t lower = ratio_pair(t + 8, n * 8 + lane_index() % 4 * 2);
            d[n][0] = change(d[n][0], low_float(upper)), d[n][1] = change(d[n][1], high_float(upper));
            d[n][2] = change(d[n][2], low_float(lower)), d[n][3] = change(d[n][3], high_float(lower));
        }
    }
    template <int tiles> __device__ void leave(float (&d)[tiles][4], int block) const {
        by_ratios(d, block, [](float x, float ratio) { return x * ratio; });
    }

    template <int tiles> __device__ void enter_back(float (&d)[tiles][4], int block, int count) const {
        const int j = block * block_tokens + lane_index() / 4, last = first[count - 1];
        scale_rows(d, j >= last ? 1.0f : 0.0f, j + 8 >= last ? 1.0f : 0.0f);
        scale_columns(d, falls + blocks * K);
    }
    template <int tiles> __device__ void retreat(float (&d)[tiles][4], int block) const {
        scale_columns(d, rises + block * K);
        scale_columns(d, falls + block * K);
    }
    template <int tiles> __device__ void retreat_columns(float (&d)[tiles][4], int block) const { retreat(d, block); }
    /// Rows past the chunk's tokens, whose ratios are 0, get zeros.
    template <int tiles> __device__ void leave_back(float (&d)[tiles][4], int block) const {
        by_ratios(d, block, [](float x, float ratio) { return ratio > 0.0f ? __fdividef(x, ratio) : 0.0f; });
    }
    template <int tiles> __device__ void retreat_rows(float (&d)[tiles][4], int block, int m) const {
        const float* rise = rises + block * K + m + lane_index() / 4;
        const float* fall = falls + block * K + m + lane_index() / 4;
        scale_rows(d, rise[0], rise[8]);
        scale_rows(d, fall[0], fall[8]);
    }
};

/// Place of a chunk of a key/value head, for grids of (chunks, N, B).
struct Chunk {
    int heads, begin, count;  // N; the chunk's first token in its row; how many it has
    int64_t index;            // in (B, N, chunks)
    int64_t at;               // of its first token, in rows (B, T, N)
    int64_t token;            // in (B, T)

    __device__ Chunk(int C, int tokens)
        : heads(gridDim.y), begin(blockIdx.x * C), count(min(C, tokens - begin)), index(chunk_index()),
          token(static_cast<int64_t>(blockIdx.z) * tokens + begin) {
        at = token * heads + blockIdx.y;
    }
    /// Of this chunk's documents; null for one a row.
    __device__ const int* documents(const int* starts) const { return starts ? starts + token : nullptr; }
    __device__ int64_t step(int width) const { return static_cast<int64_t>(heads) * width; }
};

/// Begins to copy the chunk's betas; zeros past its end.
template <int C> __device__ inline void copy_betas(float* shared, const float* betas, const Chunk& chunk) {
    copy_floats_by(threadIdx.x, blockDim.x, shared, betas + chunk.at, chunk.heads, C, chunk.count);
}

/// β of a delta rule is held away from 0, so that what it multiplies can be divided by it.
__device__ inline float held_beta(float beta) { return fabsf(beta) < 1e-30f ? 1e-30f : beta; }

}  // namespace recurrences
