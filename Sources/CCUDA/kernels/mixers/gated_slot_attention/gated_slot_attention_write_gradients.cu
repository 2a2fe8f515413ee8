// Gradients of what wrote, in chunks; gated_slot_attention_read_gradients.cu has the derivation, and goes before.
#include "gated_slot_attention.cuh"

namespace gated_slots {

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
                sum = add_dot(sum, x, y);
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
