// What the kernels of softmax attention share. A block works for one sequence and one key/value head; its query rows are
// the pairs (token, head of the group), token major, so that all heads of the group share what is loaded of keys and
// values, and the sums over the group in the gradients of keys and values need no further step.
#pragma once
#include "device.cuh"

namespace attention {

constexpr int threads = 128, warps = threads / 32;
constexpr float log2_e = 1.4426950408889634f;

/// Head dimension as tensor cores see it; the padding holds zeros.
template <int dim> constexpr int padded = (dim + 15) / 16 * 16;
/// Elements from a row of a tile to the next: an odd number of 16 bytes, so that eight rows lie in different banks.
template <int dim> constexpr int pitch = padded<dim> + 8;
/// Rows of the double-buffered tiles that a block goes through.
template <int dim> constexpr int tile_rows = dim <= 128 ? 64 : 32;

__device__ inline int lane() { return threadIdx.x % 32; }
__device__ inline int warp() { return threadIdx.x / 32; }

/// The rows of one sequence and key/value head in a tensor (B, tokens, heads, dim), `group` consecutive heads a token.
template <int dim, int group> struct Rows {
    int64_t begin;   // elements before the first row
    int64_t head;    // of the first row, among those of all sequences
    int token;       // elements from a token to the next
    int tokens, count;

    __device__ Rows(int batch, int tokens, int key_value_heads, int key_value_head)
        : begin((static_cast<int64_t>(batch) * tokens * key_value_heads + key_value_head) * group * dim),
          head((static_cast<int64_t>(batch) * key_value_heads + key_value_head) * group),
          token(key_value_heads * group * dim), tokens(tokens), count(tokens * group) {}
    __device__ int64_t offset(int row) const {
        return begin + static_cast<int64_t>(row / group) * token + row % group * dim;
    }
    /// The row's place in a tensor (B, heads, tokens).
    __device__ int64_t statistic(int row) const { return (head + row % group) * tokens + row / group; }
};

/// Eight elements of a row from `begin` on, zeros past its end.
template <int dim> struct Part {
    uint32_t pairs[4];

    Part() = default;
    __device__ Part(const bf16* row, int begin) {
        if constexpr (dim % 8 == 0) {
            const uint4 bits = begin < dim ? *reinterpret_cast<const uint4*>(row + begin) : uint4{};
            pairs[0] = bits.x, pairs[1] = bits.y, pairs[2] = bits.z, pairs[3] = bits.w;
        } else {
            const auto bits = [&](int i) { return i < dim ? static_cast<uint32_t>(row[i].bits) : 0u; };
            for (int i = 0; i < 4; i++) pairs[i] = bits(begin + 2 * i) | bits(begin + 2 * i + 1) << 16;
        }
    }
    __device__ float operator[](int i) const { return i % 2 ? high_float(pairs[i / 2]) : low_float(pairs[i / 2]); }
};

/// Begins to copy `height` rows from `first` on to shared memory, zeros where there are none.
template <int height, int dim, int group>
__device__ void load(bf16* tile, const bf16* source, const Rows<dim, group>& rows, int first) {
    constexpr int width = dim % 8 == 0 ? 8 : 1, pieces = padded<dim> / width;
    constexpr int lanes = pieces < threads ? pieces : threads, at_once = threads / lanes;   // of a row; rows
    const int own_row = threadIdx.x / lanes, own_column = threadIdx.x % lanes * width;
    if (own_row >= at_once) return;
#pragma unroll
    for (int begin = 0; begin < height; begin += at_once) {
        const int row = begin + own_row;
        if (row >= height) break;
        const bf16* from = source + rows.offset(min(first + row, rows.count - 1));
        for (int column = own_column; column < padded<dim>; column += lanes * width) {
            const bool valid = first + row < rows.count && column < dim;
            bf16* to = tile + row * pitch<dim> + column;
            if constexpr (width == 8) copy_async(to, from + (column < dim ? column : 0), valid);
            else *to = valid ? from[column] : bf16{0};
        }
    }
}

/// One warp writes `height` rows of its own in shared memory, all dimensions or a slice, to rows from `first` on.
template <int height, int slice, int dim, int group>
__device__ void store(bf16* destination, const bf16* tile, const Rows<dim, group>& rows, int first, int begin = 0) {
    constexpr int width = dim % 8 == 0 ? 8 : 1, pieces = slice / width;
    for (int i = lane(); i < height * pieces; i += 32) {
        const int row = i / pieces, column = begin + i % pieces * width;
        if (first + row >= rows.count || column >= dim) continue;
        const bf16* from = tile + row * pitch<dim> + column;
        bf16* to = destination + rows.offset(first + row) + column;
        if constexpr (width == 8) *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
        else *to = *from;
    }
}

/// Which keys the query rows see: the last `window` up to their own position, from the start of their document on, and,
/// with `has_sinks`, the first `sinks` of that document. Where the window begins and ends never decreases from a row to
/// the next, nor does the start of the document.
template <int group, bool has_sinks = false> struct Sight {
    const int32_t* starts;   // of the sequence, (S); null for one document
    int tokens, keys, window, sinks;

    __device__ Sight(const int32_t* starts, int batch, int tokens, int keys, int window, int sinks = 0)
        : starts(starts ? starts + static_cast<int64_t>(batch) * keys : nullptr), tokens(tokens), keys(keys),
          window(window > 0 ? window : keys), sinks(sinks) {}
    /// The last key that a row sees; rows past the end are as the last.
    __device__ int last(int row) const { return keys - tokens + min(row / group, tokens - 1); }
    /// The first that its window reaches.
    __device__ int first(int row) const {
        const int position = last(row), first = max(position - window + 1, 0);
        return starts ? max(first, starts[position]) : first;
    }
    /// The first of its document.
    __device__ int start(int row) const { return start_at(last(row)); }
    __device__ int start_at(int position) const { return starts ? starts[position] : 0; }
};

/// What `count` query rows from `row` on see between them.
template <bool has_sinks> struct Span {
    int first_begin, first_end;   // the first keys that the windows of the first and the last row reach
    int last_begin, last_end;     // the last keys
    // The sinks before `first_begin`: they are of the first row's document, as others begin after that row.
    int sinks_begin = 0, sinks_end = 0;

    template <int group> __device__ Span(const Sight<group, has_sinks>& sight, int row, int count)
        : first_begin(sight.first(row)), first_end(sight.first(row + count - 1)), last_begin(sight.last(row)),
          last_end(sight.last(row + count - 1)) {
        if constexpr (has_sinks) {
            sinks_begin = sight.start(row);
            sinks_end = min(sinks_begin + sight.sinks, first_begin);
        }
    }
    /// Whether any row sees any, or all rows all, of `count` keys from `key` on; of sinks, `all` may be false nevertheless.
    __device__ bool any(int key, int count) const {
        if constexpr (has_sinks) {
            if (key < sinks_end && key + count > sinks_begin) return true;
        }
        return key <= last_end && key + count > first_begin;
    }
    __device__ bool all(int key, int count) const { return key + count - 1 <= last_begin && key >= first_end; }
};

/// The tiles of the keys and values that a block's rows see, two at a time in shared memory and gone through in steps of
/// `step` keys: the sinks that none of its windows reaches, then from the first key on that one does.
template <int dim, int step, bool has_sinks> struct KeyTiles {
    static constexpr int height = tile_rows<dim>, stride = height * pitch<dim>;
    static_assert(height % step == 0, "a tile of keys is whole steps");
    bf16* buffers;   // (2, keys and values, height, pitch)
    const bf16 *k, *v;
    Rows<dim, 1> rows;
    Span<has_sinks> block;

    /// Tiles of sinks that no window reaches.
    __device__ int far_tiles() const { return (block.sinks_end - block.sinks_begin + height - 1) / height; }
    __device__ int first(int index) const {
        if constexpr (has_sinks) {
            const int far = far_tiles();
            return index < far ? block.sinks_begin + index * height : block.first_begin + (index - far) * height;
        } else return block.first_begin + index * height;
    }
    /// Begins to copy a tile, as a group of its own.
    __device__ void load(int index) const {
        const int first = this->first(index);
        bf16* to = buffers + index % 2 * 2 * stride;
        // Of few sinks no more than is gone through.
        if constexpr (has_sinks && step < height) {
            if (index < far_tiles() && block.sinks_end - first <= step) {
                attention::load<step>(to, k, rows, first);
                attention::load<step>(to + stride, v, rows, first);
                copy_async_commit();
                return;
            }
        }
        if (first <= block.last_end) {
            attention::load<height>(to, k, rows, first);
            attention::load<height>(to + stride, v, rows, first);
        }
        copy_async_commit();
    }
    /// Calls body(first key, keys, values, end) for each `step` keys that the warp's rows see, of which those from `end` on
    /// are not meant, and turn() between sinks and the others where there are both; the block has loaded tiles 0 and 1.
    template <typename Turn, typename Body> __device__ void each(const Span<has_sinks>& warp, Turn turn, Body body) const {
        for (int index = 0; first(index) <= block.last_end; index++) {
            int end = block.last_end + 1;
            if constexpr (has_sinks) {
                if (index < far_tiles()) end = block.sinks_end;
                else if (index > 0 && index == far_tiles()) turn();
            }
            copy_async_wait<1>();
            __syncthreads();
#pragma unroll 1
            for (int part = 0; part < height; part += step) {
                const int key = first(index) + part;
                const bf16* k_tile = buffers + index % 2 * 2 * stride + part * pitch<dim>;
                if (has_sinks && key >= end) break;
                if (warp.any(key, step)) body(key, k_tile, k_tile + stride, end);
            }
            __syncthreads();
            load(index + 2);
        }
    }
};

// Operands of `mma` from tiles in shared memory, at the address of their first element.

/// a (16, 16) of a tile (rows, k).
template <int dim> __device__ void load_a(uint32_t (&a)[4], const bf16* tile) {
    load_matrix_x4(a, tile + lane() % 16 * pitch<dim> + lane() / 16 * 8);
}
/// b (16, 8), twice, of a tile (columns, k).
template <int dim> __device__ void load_b(uint32_t (&b)[4], const bf16* tile) {
    load_matrix_x4(b, tile + (lane() % 8 + lane() / 16 * 8) * pitch<dim> + lane() / 8 % 2 * 8);
}
/// b (16, 8), twice, of a tile (k, columns).
template <int dim> __device__ void load_b_transposed(uint32_t (&b)[4], const bf16* tile) {
    load_matrix_x4_transposed(b, tile + lane() % 16 * pitch<dim> + lane() / 16 * 8);
}
__device__ inline void mma_twice(float (&d0)[4], float (&d1)[4], const uint32_t (&a)[4], const uint32_t (&b)[4]) {
    const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
    mma(d0, a, low);
    mma(d1, a, high);
}

/// A warp's own rows, (16 tiles, dim), as left operand: in registers where there is room, else read again for each use.
template <int dim, int tiles> struct LeftOperand {
    static constexpr bool kept = tiles * padded<dim> <= 128;
    uint32_t fragments[kept ? tiles : 1][kept ? padded<dim> / 16 : 1][4];
    const bf16* rows;

    __device__ explicit LeftOperand(const bf16* rows) : rows(rows) {
        if constexpr (kept) {
#pragma unroll
            for (int tile = 0; tile < tiles; tile++)
#pragma unroll
                for (int step = 0; step < padded<dim> / 16; step++) read(fragments[tile][step], tile, step);
        }
    }
    __device__ void read(uint32_t (&a)[4], int tile, int step) const {
        load_a<dim>(a, rows + tile * 16 * pitch<dim> + step * 16);
    }
    __device__ void get(uint32_t (&a)[4], int tile, int step) const {
        if constexpr (kept) for (int i = 0; i < 4; i++) a[i] = fragments[tile][step][i];
        else read(a, tile, step);
    }
};

/// d = a · bᵀ: scores of a warp's rows and `columns` rows of the tile b.
template <int columns, int dim, int tiles>
__device__ void scores(float (&d)[tiles][columns / 8][4], const LeftOperand<dim, tiles>& a, const bf16* b) {
#pragma unroll
    for (int tile = 0; tile < tiles; tile++)
#pragma unroll
        for (int column = 0; column < columns / 8; column++)
            for (int i = 0; i < 4; i++) d[tile][column][i] = 0.0f;
#pragma unroll
    for (int step = 0; step < padded<dim> / 16; step++) {
        uint32_t left[tiles][4];
#pragma unroll
        for (int tile = 0; tile < tiles; tile++) a.get(left[tile], tile, step);
#pragma unroll
        for (int column = 0; column < columns / 16; column++) {
            uint32_t right[4];
            load_b<dim>(right, b + column * 16 * pitch<dim> + step * 16);
#pragma unroll
            for (int tile = 0; tile < tiles; tile++)
                mma_twice(d[tile][2 * column], d[tile][2 * column + 1], left[tile], right);
        }
    }
}

/// Makes of products scores that are capped: cap · tanh(scale · product / cap).
template <int columns, int tiles>
__device__ void cap_scores(float (&scores)[tiles][columns][4], float scale, float cap) {
#pragma unroll
    for (int i = 0; i < tiles * columns * 4; i++) {
        float& score = scores[i / (columns * 4)][i / 4 % columns][i % 4];
        score = capped(score * scale, cap);
    }
}

/// Sets the scores of a warp's rows from `row` on and keys from `key` on to -infinity where a row does not see the key, or
/// with sinks where the key is not before `end`.
template <int columns, int tiles, int group, bool has_sinks>
__device__ void hide(
    float (&scores)[tiles][columns][4], const Sight<group, has_sinks>& sight, int row, int key, int end
) {
#pragma unroll
    for (int i = 0; i < 2 * tiles; i++) {
        const int own = row + i * 8 + lane() / 4, first = sight.first(own) - key;
        const int last = (has_sinks ? min(sight.last(own), end - 1) : sight.last(own)) - key;
        const int sink = has_sinks ? sight.start(own) - key : 0, sinks_end = sink + sight.sinks;
#pragma unroll
        for (int j = 0; j < 2 * columns; j++) {
            const int column = j / 2 * 8 + lane() % 4 * 2 + j % 2;
            const bool reached = column >= first || (has_sinks && column >= sink && column < sinks_end);
            if (!reached || column > last) scores[i / 2][j / 2][i % 2 * 2 + j % 2] = -INFINITY_F;
        }
    }
}

/// d += a · b: a warp's weights, rounded to bfloat16, of `columns` rows of the tile b, times these.
template <int dim, int columns, int width, int tiles>
__device__ void add_weighted(
    float (&d)[tiles][width / 8][4], const float (&a)[tiles][columns / 8][4], const bf16* b
) {
#pragma unroll
    for (int step = 0; step < columns / 16; step++) {
        uint32_t left[tiles][4];
#pragma unroll
        for (int tile = 0; tile < tiles; tile++)
            for (int i = 0; i < 4; i++) {
                const float* pair = &a[tile][2 * step + i / 2][i % 2 * 2];
                left[tile][i] = pack_bf16(pair[0], pair[1]);
            }
#pragma unroll
        for (int column = 0; column < width / 16; column++) {
            uint32_t right[4];
            load_b_transposed<dim>(right, b + step * 16 * pitch<dim> + column * 16);
#pragma unroll
            for (int tile = 0; tile < tiles; tile++)
                mma_twice(d[tile][2 * column], d[tile][2 * column + 1], left[tile], right);
        }
    }
}

/// Rounds a warp's accumulators, times a factor, to its rows in shared memory.
template <int dim, int width, int tiles>
__device__ void stage(bf16* rows, const float (&d)[tiles][width / 8][4], float factor) {
    sync_warp();
#pragma unroll
    for (int i = 0; i < 2 * tiles; i++)
#pragma unroll
        for (int column = 0; column < width / 8; column++) {
            const float* pair = &d[i / 2][column][i % 2 * 2];
            bf16* to = rows + (i * 8 + lane() / 4) * pitch<dim> + column * 8 + lane() % 4 * 2;
            *reinterpret_cast<uint32_t*>(to) = pack_bf16(pair[0] * factor, pair[1] * factor);
        }
    sync_warp();
}

}  // namespace attention
