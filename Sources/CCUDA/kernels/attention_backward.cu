// Gradients of softmax attention (FlashAttention-2, Dao 2023, arXiv 2307.08691, algorithm 2). With P the weights, which the
// log-sum-exp of the forward pass gives back, O the output and dO its gradient,
//
//     D = rowsum(dO ⊙ O)     dS = P ⊙ (dO Vᵀ - D)     dQ = scale · dS K     dK = scale · dSᵀ Q     dV = Pᵀ dO
//
// Sums go over what a block loops through, so that they are the same to the bit from run to run. Shapes and the other
// arguments as in the forward pass.
#include "attention.cuh"

namespace attention {
/// Blocks that share the columns of a gradient, so that no thread holds the sums of more than 128.
__device__ constexpr int column_slices(int width) {
    int slices = 1;
    while (width / 16 % slices != 0 || width / slices > 128) slices++;
    return slices;
}
}

/// dq, and D as `dots`, (B, H, T), for `attention_key_gradients`. A warp has 16 `tiles` rows, tiles 1 or, where K ≤ 64, 2.
/// Grid (⌈T G / (64 tiles)⌉, N, B), block 128, shared 256 (tiles + c) (⌈K / 16⌉ 16 + 8) with c = 2, or 1
/// where K > 128.
template <int dim, int group, int tiles>
__global__ void __launch_bounds__(attention::threads, tiles * dim <= 64 ? 4 : 2) attention_query_gradient(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o, const bf16* o_gradient, const int32_t* starts,
    const float* log_sums, float* dots, bf16* q_gradient, int tokens, int keys, int heads, int window, float scale
) {
    using namespace attention;
    constexpr int warp_rows = 16 * tiles, block_rows = warps * warp_rows, key_step = 32, columns = key_step / 8;
    constexpr int width = padded<dim>, parts = (dim + 31) / 32;
    SHARED_MEMORY(shared);
    bf16* q_tile = reinterpret_cast<bf16*>(shared);
    bf16* gradient_tile = q_tile + block_rows * pitch<dim>;

    const Rows<dim, group> queries(blockIdx.z, tokens, heads, blockIdx.y);
    const Sight<group> sight(starts, blockIdx.z, tokens, keys, window);
    // The last rows see the most keys: they begin first.
    const int begin = (gridDim.x - 1 - blockIdx.x) * block_rows, warp_begin = begin + warp() * warp_rows;
    const Span block(sight, begin, block_rows), own(sight, warp_begin, warp_rows);
    const KeyTiles<dim> key_tiles{
        gradient_tile + block_rows * pitch<dim>, k, v, Rows<dim, 1>(blockIdx.z, keys, heads, blockIdx.y),
        block.first_begin, block.last_end};

    load<block_rows>(q_tile, q, queries, begin);
    load<block_rows>(gradient_tile, o_gradient, queries, begin);
    key_tiles.load(0);
    key_tiles.load(1);

    // Four lanes share a row, as they do in the accumulators.
    Part<dim> outs[2 * tiles][parts];
    float log2_sums[2 * tiles], own_dots[2 * tiles];
#pragma unroll
    for (int i = 0; i < 2 * tiles; i++) {
        const int row = min(warp_begin + i * 8 + lane() / 4, queries.count - 1);
        log2_sums[i] = log_sums[queries.statistic(row)] * log2_e;
#pragma unroll
        for (int j = 0; j < parts; j++) outs[i][j] = Part<dim>(o + queries.offset(row), (j * 4 + lane() % 4) * 8);
    }
    copy_async_wait<1>();
    __syncthreads();
    bf16* own_rows = q_tile + warp() * warp_rows * pitch<dim>;
    const bf16* own_gradients = gradient_tile + warp() * warp_rows * pitch<dim>;
#pragma unroll
    for (int i = 0; i < 2 * tiles; i++) {
        const int row = warp_begin + i * 8 + lane() / 4;
        float dot = 0.0f;
#pragma unroll
        for (int j = 0; j < parts; j++) {
            const Part<dim> part(own_gradients + (i * 8 + lane() / 4) * pitch<dim>, (j * 4 + lane() % 4) * 8);
            for (int x = 0; x < 8; x++) dot += part[x] * outs[i][j][x];
        }
        dot += shuffle_xor(dot, 1);
        dot += shuffle_xor(dot, 2);
        own_dots[i] = dot;
        if (lane() % 4 == 0 && row < queries.count) dots[queries.statistic(row)] = dot;
    }

    const LeftOperand<dim, tiles> query(own_rows), gradient(own_gradients);
    float sums[tiles][width / 8][4] = {};
    const float scale2 = scale * log2_e;
    key_tiles.template each<key_step>(own, [&](int key, const bf16* k_rows, const bf16* v_rows) {
        float weights[tiles][columns][4], gradients[tiles][columns][4];
        scores<key_step>(weights, query, k_rows);
        if (!own.all(key, key_step)) hide(weights, sight, warp_begin, key);
        scores<key_step>(gradients, gradient, v_rows);
#pragma unroll
        for (int i = 0; i < tiles * columns * 4; i++) {
            const int tile = i / (columns * 4), column = i / 4 % columns, row = tile * 2 + i % 4 / 2;
            float& weight = weights[tile][column][i % 4];
            weight = exp2_fast(weight * scale2 - log2_sums[row]) * (gradients[tile][column][i % 4] - own_dots[row]);
        }
        add_weighted<dim, key_step, width>(sums, weights, k_rows);
    });
    stage<dim, width>(own_rows, sums, scale);
    store<warp_rows, width>(q_gradient, own_rows, queries, warp_begin);
}

/// dk and dv, (B, S, N, K). Where K > 128, blocks share the columns of both: `slices` is the least divisor of ⌈K / 16⌉ that
/// leaves a slice at most 128 columns.
/// Grid (⌈S / (64 tiles)⌉, N slices, B), tiles, block and shared as above with 1024 bytes more.
template <int dim, int group, int tiles>
__global__ void __launch_bounds__(attention::threads, tiles * dim <= 64 ? 3 : 2) attention_key_gradients(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o_gradient, const int32_t* starts, const float* log_sums,
    const float* dots, bf16* k_gradient, bf16* v_gradient, int tokens, int keys, int heads, int window, float scale
) {
    using namespace attention;
    constexpr int warp_rows = 16 * tiles, block_rows = warps * warp_rows, query_step = 32 / tiles, columns = query_step / 8;
    constexpr int slices = column_slices(padded<dim>), width = padded<dim> / slices, height = tile_rows<dim>;
    constexpr int stride = height * pitch<dim>;
    SHARED_MEMORY(shared);
    bf16* k_tile = reinterpret_cast<bf16*>(shared);
    bf16* v_tile = k_tile + block_rows * pitch<dim>;
    bf16* buffers = v_tile + block_rows * pitch<dim>;                   // twice, queries and gradients
    float* statistics = reinterpret_cast<float*>(buffers + 4 * stride);   // twice, log-sum-exps and dots

    const int head = blockIdx.y / slices, slice = blockIdx.y % slices * width;
    const Rows<dim, group> queries(blockIdx.z, tokens, heads, head);
    const Rows<dim, 1> sources(blockIdx.z, keys, heads, head);
    const Sight<group> sight(starts, blockIdx.z, tokens, keys, window);
    const int begin = blockIdx.x * block_rows, end = min(begin + block_rows, keys);
    const int warp_begin = begin + warp() * warp_rows;

    // The tiles of the rows that see a key of the block.
    const int first_row = max(begin - (keys - tokens), 0) * group;
    const auto reached = [&](int index) {
        const int row = first_row + index * height;
        return row < queries.count && sight.first(row) < end;
    };
    const auto load_queries = [&](int index) {
        if (reached(index)) {
            const int first = first_row + index * height, row = first + threadIdx.x % height;
            const bool valid = row < queries.count;
            load<height>(buffers + index % 2 * 2 * stride, q, queries, first);
            load<height>(buffers + (index % 2 * 2 + 1) * stride, o_gradient, queries, first);
            if (threadIdx.x < 2 * height) {
                copy_async_float(
                    statistics + index % 2 * 2 * height + threadIdx.x,
                    (threadIdx.x < height ? log_sums : dots) + (valid ? queries.statistic(row) : 0), valid);
            }
        }
        copy_async_commit();
    };

    load<block_rows>(k_tile, k, sources, begin);
    load<block_rows>(v_tile, v, sources, begin);
    load_queries(0);
    load_queries(1);
    copy_async_wait<1>();
    __syncthreads();
    bf16* own_keys = k_tile + warp() * warp_rows * pitch<dim>;
    bf16* own_values = v_tile + warp() * warp_rows * pitch<dim>;
    const LeftOperand<dim, tiles> key(own_keys), value(own_values);

    float key_sums[tiles][width / 8][4] = {}, value_sums[tiles][width / 8][4] = {};
    const float scale2 = scale * log2_e;
    for (int index = 0; reached(index); index++) {
        copy_async_wait<1>();
        __syncthreads();
#pragma unroll 1
        for (int part = 0; part < height; part += query_step) {
            const int row = first_row + index * height + part;
            const Span span(sight, row, query_step);
            if (!span.any(warp_begin, warp_rows)) continue;
            const bool partly = !span.all(warp_begin, warp_rows);
            const bf16* query = buffers + index % 2 * 2 * stride + part * pitch<dim>;
            const bf16* gradient = query + stride;
            const float* row_log_sums = statistics + index % 2 * 2 * height + part;
            const float* row_dots = row_log_sums + height;

            float weights[tiles][columns][4], gradients[tiles][columns][4];   // transposed: (keys, queries)
            scores<query_step>(weights, key, query);
            scores<query_step>(gradients, value, gradient);
#pragma unroll
            for (int j = 0; j < 2 * columns; j++) {
                const int column = j / 2 * 8 + lane() % 4 * 2 + j % 2;
                const float log2_sum = row_log_sums[column] * log2_e, dot = row_dots[column];
                const int first = partly ? sight.first(row + column) : 0, last = partly ? sight.last(row + column) : keys;
#pragma unroll
                for (int i = 0; i < 2 * tiles; i++) {
                    const int own = warp_begin + i * 8 + lane() / 4;
                    float& weight = weights[i / 2][j / 2][i % 2 * 2 + j % 2];
                    float& score_gradient = gradients[i / 2][j / 2][i % 2 * 2 + j % 2];
                    weight = own < first || own > last ? 0.0f : exp2_fast(weight * scale2 - log2_sum);
                    score_gradient = weight * (score_gradient - dot);
                }
            }
            add_weighted<dim, query_step, width>(value_sums, weights, gradient + slice);
            add_weighted<dim, query_step, width>(key_sums, gradients, query + slice);
        }
        __syncthreads();
        load_queries(index + 2);
    }
    stage<dim, width>(own_keys + slice, key_sums, scale);
    stage<dim, width>(own_values + slice, value_sums, 1.0f);
    store<warp_rows, width>(k_gradient, own_keys, sources, warp_begin, slice);
    store<warp_rows, width>(v_gradient, own_values, sources, warp_begin, slice);
}
