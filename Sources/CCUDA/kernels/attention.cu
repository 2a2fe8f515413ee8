// Causal softmax attention over tiles of keys with a running maximum and sum (FlashAttention-2, Dao 2023,
// arXiv 2307.08691). q (B, T, H, K), k (B, S, N, K), v (B, S, N, K) → o (B, T, H, K); the queries are the last T positions.
#include "attention.cuh"

/// o = softmax(scale · q kᵀ) v over the keys that `attention::Sight` lets a query see, and, unless null, the natural
/// logarithms of the sums of exponentials, (B, H, T). `starts` (B, S): each position's document's first; may be null.
/// `window` 0: all keys. scale > 0. `key_step`: keys a warp goes on by, a divisor of 64: 64, or 32 to skip more of what a
/// small window hides.
/// Grid (⌈T G / rows⌉, N, B) with rows = 128, or 64 where K > 128; block 128; shared 2 (rows + 256) (⌈K / 16⌉ 16 + 8).
template <int dim, int group, int key_step>
__global__ void __launch_bounds__(attention::threads) attention_forward(
    const bf16* q, const bf16* k, const bf16* v, const int32_t* starts, bf16* o, float* log_sums, int tokens, int keys,
    int heads, int window, float scale
) {
    using namespace attention;
    constexpr int tiles = dim <= 128 ? 2 : 1, warp_rows = 16 * tiles, block_rows = warps * warp_rows;
    constexpr int row = pitch<dim>, columns = key_step / 8, width = padded<dim>;
    SHARED_MEMORY(shared);
    bf16* q_tile = reinterpret_cast<bf16*>(shared);
    bf16* buffers = q_tile + block_rows * row;   // twice, keys and values

    const Rows<dim, group> queries(blockIdx.z, tokens, heads, blockIdx.y);
    const Rows<dim, 1> sources(blockIdx.z, keys, heads, blockIdx.y);
    const Sight<group> sight(starts, blockIdx.z, tokens, keys, window);
    // The last rows see the most keys: they begin first.
    const int begin = (gridDim.x - 1 - blockIdx.x) * block_rows, warp_begin = begin + warp() * warp_rows;
    const int lowest = sight.first(begin), highest = sight.last(begin + block_rows - 1);
    const int warp_end = warp_begin + warp_rows - 1;
    const int first_begin = sight.first(warp_begin), first_end = sight.first(warp_end);
    const int last_begin = sight.last(warp_begin), last_end = sight.last(warp_end);

    load<block_rows>(q_tile, q, queries, begin);
    load<tile_rows>(buffers, k, sources, lowest);
    load<tile_rows>(buffers + tile_rows * row, v, sources, lowest);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    bf16* own_rows = q_tile + warp() * warp_rows * row;
    const LeftOperand<dim, tiles, dim <= 64> query(own_rows);

    float out[tiles][width / 8][4] = {}, sums[tiles][2] = {}, peaks[tiles][2];
    for (int i = 0; i < 2 * tiles; i++) peaks[i / 2][i % 2] = -INFINITY_F;
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
            float weights[tiles][columns][4];
            scores<key_step>(weights, query, k_tile + part * row);
            if (key + key_step - 1 > last_begin || key < first_end) hide(weights, sight, warp_begin, key);
#pragma unroll
            for (int i = 0; i < 2 * tiles; i++) {
                const int tile = i / 2, half = i % 2 * 2;
                float peak = peaks[tile][i % 2];
#pragma unroll
                for (int j = 0; j < columns; j++)
                    peak = fmaxf(peak, fmaxf(weights[tile][j][half], weights[tile][j][half + 1]));
                peak = fmaxf(peak, shuffle_xor(peak, 1));
                peak = fmaxf(peak, shuffle_xor(peak, 2));
                // A row that has seen no key yet has no maximum to subtract.
                const float shift = peak == -INFINITY_F ? 0.0f : peak * scale2;
                const float correction = exp2_fast(peaks[tile][i % 2] * scale2 - shift);
                peaks[tile][i % 2] = peak;
                float sum = 0.0f;
#pragma unroll
                for (int j = 0; j < 2 * columns; j++) {
                    float& weight = weights[tile][j / 2][half + j % 2];
                    weight = exp2_fast(weight * scale2 - shift);
                    sum += weight;
                }
                sums[tile][i % 2] = sums[tile][i % 2] * correction + sum;
#pragma unroll
                for (int j = 0; j < width / 4; j++) out[tile][j / 2][half + j % 2] *= correction;
            }
            add_weighted<dim, key_step, width>(out, weights, k_tile + (tile_rows + part) * row);
        }
    }

    for (int i = 0; i < 2 * tiles; i++) {
        float& sum = sums[i / 2][i % 2];
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        const int query_row = warp_begin + i * 8 + lane() / 4;
        if (log_sums && lane() % 4 == 0 && query_row < queries.count)
            log_sums[queries.statistic(query_row)] = peaks[i / 2][i % 2] * scale + __logf(sum);
        for (int j = 0; j < width / 4; j++) out[i / 2][j / 2][i % 2 * 2 + j % 2] /= sum;
    }
    stage<dim, width>(own_rows, out, 1.0f);
    store<warp_rows, width>(o, own_rows, queries, warp_begin);
}
