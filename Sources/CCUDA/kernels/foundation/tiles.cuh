// Tiles of bfloat16 in shared memory, and what the kernels that go through rows in chunks of C tokens do with them on tensor
// cores. Rows of a tile are padded by 8 elements so that the 8 rows of an ldmatrix lie in different banks. Chunks are cut
// into blocks of 16 tokens, a warp's share. Chunk-local, `first[t]` is the first token of t's document; below 0 it says that
// the state before the chunk reaches t too.
#pragma once
#include "device.cuh"

namespace tiles {

constexpr int block_tokens = 16;

/// Elements from row to row of a shared tile.
constexpr int tile_row(int width) { return width + 8; }

/// A width that a generic function is compiled for.
template <int size> struct Width { static constexpr int value = size; };

__device__ inline int lane_index() { return threadIdx.x % 32; }

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

/// The reverse.
template <int steps> __device__ inline void unpack_rows(float (&d)[2 * steps][4], const uint32_t (&a)[steps][4]) {
#pragma unroll
    for (int k = 0; k < steps; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            d[2 * k + i / 2][i % 2 * 2] = low_float(a[k][i]);
            d[2 * k + i / 2][i % 2 * 2 + 1] = high_float(a[k][i]);
        }
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

/// d[t][·] *= factors of this thread's two rows.
template <int tiles> __device__ inline void scale_rows(float (&d)[tiles][4], float upper, float lower) {
#pragma unroll
    for (int n = 0; n < tiles; n++) d[n][0] *= upper, d[n][1] *= upper, d[n][2] *= lower, d[n][3] *= lower;
}

/// Zeros in the rows that the state before the chunk does not reach.
template <int tiles> __device__ inline void keep_reached_rows(float (&d)[tiles][4], const int (&first)[2]) {
#pragma unroll
    for (int n = 0; n < tiles; n++) {
        if (first[0] >= 0) d[n][0] = d[n][1] = 0.0f;
        if (first[1] >= 0) d[n][2] = d[n][3] = 0.0f;
    }
}

/// Zeros where token j does not reach token t, or, if `strict`, is t: rows t from `row`, columns j from `column`, first of this
/// thread's two rows.
template <bool strict = false>
__device__ inline void keep_reaching(float (&d)[2][4], int row, int column, const int (&first)[2]) {
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int t = row + lane_index() / 4 + i / 2 * 8, j = column + n * 8 + lane_index() % 4 * 2 + i % 2;
            if (j + strict > t || j < first[i / 2]) d[n][i] = 0.0f;
        }
    }
}

/// The same with rows j and columns t, first of all the chunk's tokens.
template <bool strict = false>
__device__ inline void keep_reached(float (&d)[2][4], int row, int column, const int* first) {
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int j = row + lane_index() / 4 + i / 2 * 8, t = column + n * 8 + lane_index() % 4 * 2 + i % 2;
            if (j + strict > t || j < first[t]) d[n][i] = 0.0f;
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

/// Begins to copy `rows` rows of `width` elements, of which the first `count` exist, into a shared tile; thread `thread` of `threads`.
template <int width>
__device__ inline void copy_tile_by(
    int thread, int threads, bf16* tile, int row, const bf16* from, int64_t from_row, int rows, int count
) {
    for (int i = thread; i < rows * (width / 8); i += threads) {
        const int line = i / (width / 8), column = i % (width / 8) * 8;
        const bool valid = line < count;
        copy_async(tile + line * row + column, from + (valid ? line : 0) * from_row + column, valid);
    }
}
/// The same by all threads of the block.
template <int width>
__device__ inline void copy_tile(bf16* tile, int row, const bf16* from, int64_t from_row, int rows, int count) {
    copy_tile_by<width>(threadIdx.x, blockDim.x, tile, row, from, from_row, rows, count);
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

/// Row of this thread block in (B, N, chunks), for grids of (chunks, N, B).
__device__ inline int64_t chunk_index() {
    return (static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
}

}  // namespace tiles
