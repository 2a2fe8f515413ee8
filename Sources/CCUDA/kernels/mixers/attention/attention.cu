// Causal softmax attention over tiles of keys with a running maximum and sum (FlashAttention-2, Dao 2023,
// arXiv 2307.08691). q (B, T, H, K), k (B, S, N, K), v (B, S, N, K) → o (B, T, H, K); the queries are the last T positions.
#include "attention.cuh"

/// o = softmax(scale · q kᵀ) v over the keys that `attention::Sight` lets a query see, and, unless null, the natural
/// logarithms of the sums of exponentials, (B, H, T). `starts` (B, S): each position's document's first; may be null.
/// `window` 0: all keys. scale > 0. A warp has 16 `tiles` rows, tiles 1 or, where K ≤ 128, 2, and goes on by `key_step`
/// keys: 64, or 32 to skip more of what a small window hides and where K > 128. With `has_sinks` the first `sinks` keys of
/// a document, at most 64, are seen too; a block's rows see those that lie before all of its windows with `sink_q`, unless
/// null. With `has_cap`, scores go through cap · tanh(score / cap).
/// Grid (⌈T G / (64 tiles)⌉, N, B), block 128, shared 128 (tiles + c) (⌈K / 16⌉ 16 + 8) with c = 4, or 2 where K > 128.
template <int dim, int group, int tiles, int key_step, bool has_sinks, bool has_cap = false>
__global__ void __launch_bounds__(attention::threads, tiles * dim <= 64 ? 4 : 2) attention_forward(
    const bf16* q, const bf16* k, const bf16* v, const int32_t* starts, bf16* o, float* log_sums, int tokens, int keys,
    int heads, int window, int sinks, const bf16* sink_q, float scale, float cap
) {
    using namespace attention;
    constexpr int warp_rows = 16 * tiles, block_rows = warps * warp_rows, columns = key_step / 8, width = padded<dim>;
    SHARED_MEMORY(shared);
    bf16* q_tile = reinterpret_cast<bf16*>(shared);

    const Rows<dim, group> queries(blockIdx.z, tokens, heads, blockIdx.y);
    const Sight<group, has_sinks> sight(starts, blockIdx.z, tokens, keys, window, sinks);
    // The last rows see the most keys: they begin first.
    const int begin = (gridDim.x - 1 - blockIdx.x) * block_rows, warp_begin = begin + warp() * warp_rows;
    const Span<has_sinks> block(sight, begin, block_rows), own(sight, warp_begin, warp_rows);
    const KeyTiles<dim, key_step, has_sinks> key_tiles{
        q_tile + block_rows * pitch<dim>, k, v, Rows<dim, 1>(blockIdx.z, keys, heads, blockIdx.y), block};
    const bool has_two = has_sinks && sink_q && key_tiles.far_tiles() > 0;   // queries a row

    load<block_rows>(q_tile, has_two ? sink_q : q, queries, begin);
    key_tiles.load(0);
    key_tiles.load(1);
    copy_async_wait<1>();
    __syncthreads();
    bf16* own_rows = q_tile + warp() * warp_rows * pitch<dim>;
    LeftOperand<dim, tiles> query(own_rows);

    float out[tiles][width / 8][4] = {}, sums[tiles][2] = {}, peaks[tiles][2];
    for (int i = 0; i < 2 * tiles; i++) peaks[i / 2][i % 2] = -INFINITY_F;
    // Capped scores are scaled already.
    const float own_scale = has_cap ? 1.0f : scale, scale2 = own_scale * log2_e;
    const auto turn = [&] {
        if (!has_two) return;
        load<block_rows>(q_tile, q, queries, begin);
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();
        query = LeftOperand<dim, tiles>(own_rows);
    };
    key_tiles.each(own, turn, [&](int key, const bf16* k_rows, const bf16* v_rows, int end) {
        float weights[tiles][columns][4];
        scores<key_step>(weights, query, k_rows);
        if constexpr (has_cap) cap_scores(weights, scale, cap);
        if (!own.all(key, key_step)) hide(weights, sight, warp_begin, key, end);
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
        add_weighted<dim, key_step, width>(out, weights, v_rows);
    });

#pragma unroll
    for (int i = 0; i < 2 * tiles; i++) {
        float sum = sums[i / 2][i % 2];
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        const int query_row = warp_begin + i * 8 + lane() / 4;
        if (log_sums && lane() % 4 == 0 && query_row < queries.count)
            log_sums[queries.statistic(query_row)] = peaks[i / 2][i % 2] * own_scale + __logf(sum);
        const float factor = 1.0f / sum;
#pragma unroll
        for (int j = 0; j < width / 4; j++) out[i / 2][j / 2][i % 2 * 2 + j % 2] *= factor;
    }
    stage<dim, width>(own_rows, out, 1.0f);
    store<warp_rows, width>(o, own_rows, queries, warp_begin);
}
