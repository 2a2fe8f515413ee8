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

/// dq, and D as `dots`, (B, H, T), for `attention_key_gradients`.
/// Grid (⌈T G / rows⌉, N, B) with rows = 128, or 64 where K > 64; block 128; shared 4 (rows + 128) (⌈K / 16⌉ 16 + 8).
template <int dim, int group>
__global__ void __launch_bounds__(attention::threads) attention_query_gradient(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o, const bf16* o_gradient, const int32_t* starts,
    const float* log_sums, float* dots, bf16* q_gradient, int tokens, int keys, int heads, int window, float scale
) {
    using namespace attention;
    constexpr int tiles = dim <= 64 ? 2 : 1, warp_rows = 16 * tiles, block_rows = warps * warp_rows, key_step = 32;
    constexpr int row = pitch<dim>, columns = key_step / 8, width = padded<dim>;
    SHARED_MEMORY(shared);
    bf16* q_tile = reinterpret_cast<bf16*>(shared);
    bf16* gradient_tile = q_tile + block_rows * row;
    bf16* buffers = gradient_tile + block_rows * row;   // twice, keys and values

    const Rows<dim, group> queries(blockIdx.z, tokens, heads, blockIdx.y);
    const Rows<dim, 1> sources(blockIdx.z, keys, heads, blockIdx.y);
    const Sight<group> sight(starts, blockIdx.z, tokens, keys, window);
    // The last rows see the most keys: they begin first.
    const int begin = (gridDim.x - 1 - blockIdx.x) * block_rows, warp_begin = begin + warp() * warp_rows;
    const int lowest = sight.first(begin), highest = sight.last(begin + block_rows - 1);
    const int warp_end = warp_begin + warp_rows - 1;
    const int first_begin = sight.first(warp_begin), first_end = sight.first(warp_end);
    const int last_begin = sight.last(warp_begin), last_end = sight.last(warp_end);

    bf16* o_tile = buffers + 2 * tile_rows * row;   // until the second keys are loaded
    load<block_rows>(q_tile, q, queries, begin);
    load<block_rows>(gradient_tile, o_gradient, queries, begin);
    load<block_rows>(o_tile, o, queries, begin);
    load<tile_rows>(buffers, k, sources, lowest);
    load<tile_rows>(buffers + tile_rows * row, v, sources, lowest);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    bf16* own_rows = q_tile + warp() * warp_rows * row;
    const bf16* own_gradients = gradient_tile + warp() * warp_rows * row;
    const LeftOperand<dim, tiles, dim <= 128> query(own_rows), gradient(own_gradients);

    // Four lanes share a row, as they do in the accumulators.
    float own_dots[tiles][2], log2_sums[tiles][2];
#pragma unroll
    for (int i = 0; i < 2 * tiles; i++) {
        const int block_row = warp() * warp_rows + i * 8 + lane() / 4, query_row = begin + block_row;
        const uint32_t* x = reinterpret_cast<const uint32_t*>(gradient_tile + block_row * row);
        const uint32_t* y = reinterpret_cast<const uint32_t*>(o_tile + block_row * row);
        float dot = 0.0f;
        for (int pair = lane() % 4; pair < width / 2; pair += 4)
            dot += low_float(x[pair]) * low_float(y[pair]) + high_float(x[pair]) * high_float(y[pair]);
        dot += shuffle_xor(dot, 1);
        dot += shuffle_xor(dot, 2);
        const bool valid = query_row < queries.count;
        if (valid && lane() % 4 == 0) dots[queries.statistic(query_row)] = dot;
        own_dots[i / 2][i % 2] = dot;
        log2_sums[i / 2][i % 2] = valid ? log_sums[queries.statistic(query_row)] * log2_e : 0.0f;
    }

    float sums[tiles][width / 8][4] = {};
    const float scale2 = scale * log2_e;
    for (int tile_key = lowest, buffer = 0; tile_key <= highest; tile_key += tile_rows, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        const bf16* k_tile = buffers + buffer * 2 * tile_rows * row;
        if (tile_key + tile_rows <= highest) {
            bf16* next = buffers + (buffer ^ 1) * 2 * tile_rows * row;
            load<tile_rows>(next, k, sources, tile_key + tile_rows);
            load<tile_rows>(next + tile_rows * row, v, sources, tile_key + tile_rows);
        }
        copy_async_commit();
#pragma unroll 1
        for (int part = 0; part < tile_rows; part += key_step) {
            const int key = tile_key + part;
            if (key > last_end || key + key_step <= first_begin) continue;
            float weights[tiles][columns][4], gradients[tiles][columns][4];
            scores<key_step>(weights, query, k_tile + part * row);
            if (key + key_step - 1 > last_begin || key < first_end) hide(weights, sight, warp_begin, key);
            scores<key_step>(gradients, gradient, k_tile + (tile_rows + part) * row);
#pragma unroll
            for (int i = 0; i < tiles * columns * 4; i++) {
                const int tile = i / (columns * 4), column = i / 4 % columns, half = i % 4 / 2;
                const float weight = exp2_fast(weights[tile][column][i % 4] * scale2 - log2_sums[tile][half]);
                weights[tile][column][i % 4] = weight * (gradients[tile][column][i % 4] - own_dots[tile][half]);
            }
            add_weighted<dim, key_step, width>(sums, weights, k_tile + part * row);
        }
    }
    stage<dim, width>(own_rows, sums, scale);
    store<warp_rows, width>(q_gradient, own_rows, queries, warp_begin);
}

/// dk and dv, (B, S, N, K). Where K > 128, blocks share the columns of both: `slices` is the least divisor of ⌈K / 16⌉ that
/// leaves a slice at most 128 columns.
/// Grid (⌈S / rows⌉, N slices, B), rows, block and shared as above with 1024 bytes more.
template <int dim, int group>
__global__ void __launch_bounds__(attention::threads) attention_key_gradients(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o_gradient, const int32_t* starts, const float* log_sums,
    const float* dots, bf16* k_gradient, bf16* v_gradient, int tokens, int keys, int heads, int window, float scale
) {
    using namespace attention;
    constexpr int tiles = dim <= 64 ? 2 : 1, warp_rows = 16 * tiles, block_rows = warps * warp_rows, query_step = 16;
    constexpr int row = pitch<dim>, columns = query_step / 8;
    constexpr int slices = column_slices(padded<dim>), width = padded<dim> / slices;
    SHARED_MEMORY(shared);
    bf16* k_tile = reinterpret_cast<bf16*>(shared);
    bf16* v_tile = k_tile + block_rows * row;
    bf16* buffers = v_tile + block_rows * row;   // twice, queries and gradients
    float* statistics = reinterpret_cast<float*>(buffers + 4 * tile_rows * row);   // twice, log-sum-exps and dots

    const int head = blockIdx.y / slices, slice = blockIdx.y % slices * width;
    const Rows<dim, group> queries(blockIdx.z, tokens, heads, head);
    const Rows<dim, 1> sources(blockIdx.z, keys, heads, head);
    const Sight<group> sight(starts, blockIdx.z, tokens, keys, window);
    const int begin = blockIdx.x * block_rows, end = min(begin + block_rows, keys);
    const int warp_begin = begin + warp() * warp_rows, warp_last = warp_begin + warp_rows - 1;

    const auto load_queries = [&](int first, int buffer) {
        bf16* to = buffers + buffer * 2 * tile_rows * row;
        load<tile_rows>(to, q, queries, first);
        load<tile_rows>(to + tile_rows * row, o_gradient, queries, first);
        const int own = first + threadIdx.x % tile_rows;
        const bool valid = own < queries.count;
        const float* from = threadIdx.x < tile_rows ? log_sums : dots;
        copy_async_float(statistics + buffer * 2 * tile_rows + threadIdx.x, from + (valid ? queries.statistic(own) : 0), valid);
        copy_async_commit();
    };
    // From the first row that sees a key of the block to the last.
    const auto reached = [&](int query_row) { return query_row < queries.count && sight.first(query_row) < end; };
    const int first_row = max(begin - (keys - tokens), 0) * group;

    load<block_rows>(k_tile, k, sources, begin);
    load<block_rows>(v_tile, v, sources, begin);
    load_queries(first_row, 0);
    copy_async_wait<0>();
    __syncthreads();
    bf16* own_keys = k_tile + warp() * warp_rows * row;
    bf16* own_values = v_tile + warp() * warp_rows * row;
    const LeftOperand<dim, tiles, dim <= 64> key(own_keys), value(own_values);

    float key_sums[tiles][width / 8][4] = {}, value_sums[tiles][width / 8][4] = {};
    const float scale2 = scale * log2_e;
    for (int tile_row = first_row, buffer = 0; reached(tile_row); tile_row += tile_rows, buffer ^= 1) {
        copy_async_wait<0>();
        __syncthreads();
        if (reached(tile_row + tile_rows)) load_queries(tile_row + tile_rows, buffer ^ 1);
#pragma unroll 1
        for (int part = 0; part < tile_rows; part += query_step) {
            const int query_row = tile_row + part, query_last = query_row + query_step - 1;
            if (sight.last(query_last) < warp_begin || sight.first(query_row) > warp_last) continue;
            const bf16* query = buffers + (buffer * 2 * tile_rows + part) * row;
            const bf16* gradient = query + tile_rows * row;
            const float* own_log_sums = statistics + buffer * 2 * tile_rows + part;
            const float* own_dots = own_log_sums + tile_rows;

            float weights[tiles][columns][4], gradients[tiles][columns][4];   // transposed: (keys, queries)
            scores<query_step>(weights, key, query);
            scores<query_step>(gradients, value, gradient);
            const bool partly = sight.last(query_row) < warp_last || sight.first(query_last) > warp_begin;
#pragma unroll
            for (int j = 0; j < 2 * columns; j++) {
                const int column = j / 2 * 8 + lane() % 4 * 2 + j % 2;
                const float log2_sum = own_log_sums[column] * log2_e, dot = own_dots[column];
                const int first = partly ? sight.first(query_row + column) : 0;
                const int last = partly ? sight.last(query_row + column) : keys;
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
    }
    stage<dim, width>(own_keys + slice, key_sums, scale);
    stage<dim, width>(own_values + slice, value_sums, 1.0f);
    store<warp_rows, width>(k_gradient, own_keys, sources, warp_begin, slice);
    store<warp_rows, width>(v_gradient, own_values, sources, warp_begin, slice);
}
