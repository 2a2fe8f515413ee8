// Gradients of softmax attention (FlashAttention-2, Dao 2023, arXiv 2307.08691, algorithm 2). With P the weights, which the
// log-sum-exp of the forward pass gives back, O the output and dO its gradient,
//
//     D = rowsum(dO ⊙ O)     dS = P ⊙ (dO Vᵀ - D)     dQ = scale · dS K     dK = scale · dSᵀ Q     dV = Pᵀ dO
//
// With `has_cap`, where scores are cap · tanh(s / cap), dS is also multiplied by the slope of that.
//
// Sums go over what a block loops through, so that they are the same to the bit from run to run. Shapes and the other
// arguments as in the forward pass.
//
// A sink is seen by all later queries of its document, which are too many for the block of its key. Those at positions of
// other blocks than the key's add up in parts, one for as many positions as a block has keys, and these in their order.
#include "attention.cuh"

namespace attention {
/// Blocks that share the columns of a gradient, so that no thread holds the sums of more than 128.
__device__ constexpr int column_slices(int width) {
    int slices = 1;
    while (width / 16 % slices != 0 || width / slices > 128) slices++;
    return slices;
}

/// Sums of gradients of sinks: (B, N, parts, keys and values, sinks, K) float32. Part p is of the positions of key block
/// p + 1 and of the document that goes on there from the block before.
template <int dim> __device__ int64_t part_offset(int batch, int heads, int head, int parts, int part, int sinks) {
    return ((static_cast<int64_t>(batch) * heads + head) * parts + part) * 2 * sinks * dim;
}
/// The first part of a document that begins at `start`, of key blocks of `chunk` positions; `past` positions have no query.
__device__ inline int first_part(int start, int past, int chunk) { return max(start / chunk, past / chunk - 1); }
}

/// dq, and D as `dots`, (B, H, T), for `attention_key_gradients`. A warp has 16 `tiles` rows, tiles 1 or, where K ≤ 64, 2.
/// Grid (⌈T G / (64 tiles)⌉, N, B), block 128, shared 256 (tiles + c) (⌈K / 16⌉ 16 + 8) with c = 2, or 1
/// where K > 128.
template <int dim, int group, int tiles, bool has_sinks, bool has_cap = false>
__global__ void __launch_bounds__(attention::threads, tiles * dim <= 64 ? 4 : 2) attention_query_gradient(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o, const bf16* o_gradient, const int32_t* starts,
    const float* log_sums, float* dots, bf16* q_gradient, int tokens, int keys, int heads, int window, int sinks,
    float scale, float cap
) {
    using namespace attention;
    constexpr int warp_rows = 16 * tiles, block_rows = warps * warp_rows, key_step = 32, columns = key_step / 8;
    constexpr int width = padded<dim>, parts = (dim + 31) / 32;
    SHARED_MEMORY(shared);
    bf16* q_tile = reinterpret_cast<bf16*>(shared);
    bf16* gradient_tile = q_tile + block_rows * pitch<dim>;

    const Rows<dim, group> queries(blockIdx.z, tokens, heads, blockIdx.y);
    const Sight<group, has_sinks> sight(starts, blockIdx.z, tokens, keys, window, sinks);
    // The last rows see the most keys: they begin first.
    const int begin = (gridDim.x - 1 - blockIdx.x) * block_rows, warp_begin = begin + warp() * warp_rows;
    const Span<has_sinks> block(sight, begin, block_rows), own(sight, warp_begin, warp_rows);
    const KeyTiles<dim, key_step, has_sinks> key_tiles{
        gradient_tile + block_rows * pitch<dim>, k, v, Rows<dim, 1>(blockIdx.z, keys, heads, blockIdx.y), block};

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
    const float scale2 = (has_cap ? 1.0f : scale) * log2_e;   // capped scores are scaled already
    key_tiles.each(own, [] {}, [&](int key, const bf16* k_rows, const bf16* v_rows, int end) {
        float weights[tiles][columns][4], gradients[tiles][columns][4];
        scores<key_step>(weights, query, k_rows);
        if constexpr (has_cap) cap_scores(weights, scale, cap);
        if (!own.all(key, key_step)) hide(weights, sight, warp_begin, key, end);
        scores<key_step>(gradients, gradient, v_rows);
#pragma unroll
        for (int i = 0; i < tiles * columns * 4; i++) {
            const int tile = i / (columns * 4), column = i / 4 % columns, row = tile * 2 + i % 4 / 2;
            float& weight = weights[tile][column][i % 4];
            const float score = weight;
            weight = exp2_fast(weight * scale2 - log2_sums[row]) * (gradients[tile][column][i % 4] - own_dots[row]);
            if constexpr (has_cap) weight *= cap_slope(score, cap);
        }
        add_weighted<dim, key_step, width>(sums, weights, k_rows);
    });
    stage<dim, width>(own_rows, sums, scale);
    store<warp_rows, width>(q_gradient, own_rows, queries, warp_begin);
}

/// The `parts` for `attention_sink_sums`, of sinks that windows do not reach: a block's are of `chunk` positions, 16
/// sinks and a slice of the columns as below. `chunk`: the keys of a block there.
/// Grid (parts, N slices ⌈sinks / 16⌉, B), parts ⌈S / chunk⌉ - 1, block 128, shared 576 (⌈K / 16⌉ 16 + 8).
template <int dim, int group, bool has_cap = false>
__global__ void __launch_bounds__(attention::threads, dim <= 64 ? 3 : 2) attention_sink_gradients(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o_gradient, const int32_t* starts, const float* log_sums,
    const float* dots, float* parts, int tokens, int keys, int heads, int window, int sinks, int chunk, float scale,
    float cap
) {
    using namespace attention;
    constexpr int slices = column_slices(padded<dim>), width = padded<dim> / slices;
    constexpr int height = 16 * warps, stride = height * pitch<dim>;
    static_assert(warps * 16 * width * sizeof(float) <= 2 * stride * sizeof(bf16), "sums lie over the tiles");
    SHARED_MEMORY(shared);
    bf16* buffers = reinterpret_cast<bf16*>(shared);   // twice, queries and gradients
    bf16* k_tile = buffers + 4 * stride;
    bf16* v_tile = k_tile + 16 * pitch<dim>;

    const int head = blockIdx.y % heads, slice = blockIdx.y / heads % slices * width;
    const int first_sink = blockIdx.y / heads / slices * 16;
    const Rows<dim, group> queries(blockIdx.z, tokens, heads, head);
    const Rows<dim, 1> sources(blockIdx.z, keys, heads, head);
    const Sight<group, true> sight(starts, blockIdx.z, tokens, keys, window, sinks);
    const int begin = (blockIdx.x + 1) * chunk, start = sight.start_at(begin), past = keys - tokens;
    if (start >= begin || begin + chunk <= past) return;   // Nothing goes on, or nobody looks.
    const int rows = min((begin + chunk - past) * group, queries.count);
    const int first_key = start + first_sink, keys_end = min(start + sinks, begin);

    // The tiles of the document's rows of which one does not reach all sinks.
    const auto looks = [&](int row) { return row < rows && sight.start(row) == start; };
    int first_row = max(begin - past, 0) * group;
    while (looks(first_row) && sight.first(first_row + height - 1) <= first_key) first_row += height;
    const auto load_queries = [&](int index) {
        const int row = first_row + index * height;
        if (looks(row)) {
            load<height>(buffers + index % 2 * 2 * stride, q, queries, row);
            load<height>(buffers + (index % 2 * 2 + 1) * stride, o_gradient, queries, row);
        }
        copy_async_commit();
    };

    load<16>(k_tile, k, sources, first_key);
    load<16>(v_tile, v, sources, first_key);
    load_queries(0);
    load_queries(1);
    copy_async_wait<1>();
    __syncthreads();
    const LeftOperand<dim, 1> key(k_tile), value(v_tile);
    float key_sums[1][width / 8][4] = {}, value_sums[1][width / 8][4] = {};
    const float scale2 = (has_cap ? 1.0f : scale) * log2_e;   // capped scores are scaled already
    for (int index = 0; looks(first_row + index * height); index++) {
        copy_async_wait<1>();
        __syncthreads();
        const int row = first_row + index * height + warp() * 16;
        const bf16* query = buffers + index % 2 * 2 * stride + warp() * 16 * pitch<dim>;
        const bf16* gradient = query + stride;
        float weights[1][2][4], gradients[1][2][4];   // transposed: (keys, queries)
        scores<16>(weights, key, query);
        if constexpr (has_cap) cap_scores(weights, scale, cap);
        scores<16>(gradients, value, gradient);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int own = row + j / 2 * 8 + lane() % 4 * 2 + j % 2;
            const int end = looks(own) ? min(sight.first(own), keys_end) : 0;
            const int64_t statistic = queries.statistic(min(own, queries.count - 1));
            const float log2_sum = log_sums[statistic] * log2_e, dot = dots[statistic];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float& weight = weights[0][j / 2][i * 2 + j % 2];
                float& score_gradient = gradients[0][j / 2][i * 2 + j % 2];
                const float score = weight;
                weight = first_key + i * 8 + lane() / 4 < end ? exp2_fast(weight * scale2 - log2_sum) : 0.0f;
                score_gradient = weight * (score_gradient - dot);
                if constexpr (has_cap) score_gradient *= cap_slope(score, cap);
            }
        }
        add_weighted<dim, 16, width>(value_sums, weights, gradient + slice);
        add_weighted<dim, 16, width>(key_sums, gradients, query + slice);
        __syncthreads();
        load_queries(index + 2);
    }

    // The warps' sums, in their order.
    float* sums = reinterpret_cast<float*>(shared);   // (warps, 16, width)
    float* to = parts + part_offset<dim>(blockIdx.z, heads, head, gridDim.x, blockIdx.x, sinks);
    const auto write = [&](const float (&own)[1][width / 8][4], float* to) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < width / 2; i++) {
            const int row = i / 2 % 2 * 8 + lane() / 4, column = i / 4 * 8 + lane() % 4 * 2 + i % 2;
            sums[(warp() * 16 + row) * width + column] = own[0][i / 4][i % 4];
        }
        __syncthreads();
        for (int i = threadIdx.x; i < 16 * width; i += threads) {
            const int sink = first_sink + i / width, column = slice + i % width;
            if (sink >= sinks || column >= dim) continue;
            float sum = 0.0f;
            for (int other = 0; other < warps; other++) sum += sums[other * 16 * width + i];
            to[sink * dim + column] = sum;
        }
    };
    write(key_sums, to);
    write(value_sums, to + sinks * dim);
}

/// Adds the `parts` of each document to its first. Grid (parts, ⌈2 sinks K / 64⌉, N B), block (64, 8).
template <int dim> __global__ void attention_sink_sums(
    float* parts, const int32_t* starts, int tokens, int keys, int heads, int sinks, int chunk
) {
    __shared__ float sums[8][64];
    const int size = 2 * sinks * dim;
    const int32_t* row = starts ? starts + static_cast<int64_t>(blockIdx.z / heads) * keys : nullptr;
    const auto start_of = [&](int part) { return row ? row[(part + 1) * chunk] : 0; };
    const int first = blockIdx.x, start = start_of(first), column = blockIdx.y * 64 + threadIdx.x;
    if (attention::first_part(start, keys - tokens, chunk) != first) return;
    int end = first + 1;
    for (int beyond = gridDim.x; end < beyond;) {
        const int middle = (end + beyond) / 2;
        if (start_of(middle) == start) end = middle + 1;
        else beyond = middle;
    }
    float* from = parts + static_cast<int64_t>(blockIdx.z) * gridDim.x * size + column;
    float sum = 0.0f;
    if (column < size) {
#pragma unroll 4
        for (int part = first + threadIdx.y; part < end; part += 8) sum += from[static_cast<int64_t>(part) * size];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= size) return;
    float total = 0.0f;
    for (int y = 0; y < 8; y++) total += sums[y][threadIdx.x];
    from[static_cast<int64_t>(first) * size] = total;
}

/// dk and dv, (B, S, N, K), with the sums of `parts` where there are sinks; `parts` is null where one block has all keys.
/// Where K > 128, blocks share the columns of both: `slices` is the least divisor of ⌈K / 16⌉ that leaves a slice at most
/// 128 columns.
/// Grid (⌈S / (64 tiles)⌉, N slices, B), tiles, block and shared as of `attention_query_gradient` with 1024 bytes more.
template <int dim, int group, int tiles, bool has_sinks, bool has_cap = false>
__global__ void __launch_bounds__(attention::threads, tiles * dim <= 64 ? 3 : 2) attention_key_gradients(
    const bf16* q, const bf16* k, const bf16* v, const bf16* o_gradient, const int32_t* starts, const float* log_sums,
    const float* dots, const float* parts, bf16* k_gradient, bf16* v_gradient, int tokens, int keys, int heads,
    int window, int sinks, float scale, float cap
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
    const Sight<group, has_sinks> sight(starts, blockIdx.z, tokens, keys, window, sinks);
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
    const float scale2 = (has_cap ? 1.0f : scale) * log2_e;   // capped scores are scaled already
    for (int index = 0; reached(index); index++) {
        copy_async_wait<1>();
        __syncthreads();
#pragma unroll 1
        for (int part = 0; part < height; part += query_step) {
            const int row = first_row + index * height + part;
            const Span<has_sinks> span(sight, row, query_step);
            if (!span.any(warp_begin, warp_rows)) continue;
            const bool partly = !span.all(warp_begin, warp_rows);
            const bf16* query = buffers + index % 2 * 2 * stride + part * pitch<dim>;
            const bf16* gradient = query + stride;
            const float* row_log_sums = statistics + index % 2 * 2 * height + part;
            const float* row_dots = row_log_sums + height;

            float weights[tiles][columns][4], gradients[tiles][columns][4];   // transposed: (keys, queries)
            scores<query_step>(weights, key, query);
            if constexpr (has_cap) cap_scores(weights, scale, cap);
            scores<query_step>(gradients, value, gradient);
#pragma unroll
            for (int j = 0; j < 2 * columns; j++) {
                const int column = j / 2 * 8 + lane() % 4 * 2 + j % 2;
                const float log2_sum = row_log_sums[column] * log2_e, dot = row_dots[column];
                const int first = partly ? sight.first(row + column) : 0, last = partly ? sight.last(row + column) : keys;
                int sinks_begin = 0, sinks_end = 0;
                if (has_sinks && partly && last < end) {
                    sinks_begin = sight.start(row + column);
                    sinks_end = sinks_begin + sinks;
                }
#pragma unroll
                for (int i = 0; i < 2 * tiles; i++) {
                    const int own = warp_begin + i * 8 + lane() / 4;
                    float& weight = weights[i / 2][j / 2][i % 2 * 2 + j % 2];
                    float& score_gradient = gradients[i / 2][j / 2][i % 2 * 2 + j % 2];
                    const bool reached = own >= first || (has_sinks && own >= sinks_begin && own < sinks_end);
                    const float score = weight;
                    weight = reached && own <= last ? exp2_fast(weight * scale2 - log2_sum) : 0.0f;
                    score_gradient = weight * (score_gradient - dot);
                    if constexpr (has_cap) score_gradient *= cap_slope(score, cap);
                }
            }
            add_weighted<dim, query_step, width>(value_sums, weights, gradient + slice);
            add_weighted<dim, query_step, width>(key_sums, gradients, query + slice);
        }
        __syncthreads();
        load_queries(index + 2);
    }
    if constexpr (has_sinks) {
        const int parts_count = gridDim.x - 1;
#pragma unroll
        for (int i = 0; i < 2 * tiles; i++) {
            const int own = warp_begin + i * 8 + lane() / 4, start = sight.start_at(min(own, keys - 1));
            const int sink = own - start, part = first_part(start, keys - tokens, block_rows);
            const bool has_part = part < parts_count && sight.start_at((part + 1) * block_rows) == start;
            if (own >= keys || sink >= sinks || !has_part) continue;
            const float* from = parts + part_offset<dim>(blockIdx.z, heads, head, parts_count, part, sinks) + sink * dim;
#pragma unroll
            for (int j = 0; j < width / 4; j++) {
                const int column = slice + j / 2 * 8 + lane() % 4 * 2 + j % 2;
                if (column >= dim) continue;
                key_sums[i / 2][j / 2][i % 2 * 2 + j % 2] += from[column];
                value_sums[i / 2][j / 2][i % 2 * 2 + j % 2] += from[sinks * dim + column];
            }
        }
    }
    stage<dim, width>(own_keys + slice, key_sums, scale);
    stage<dim, width>(own_values + slice, value_sums, 1.0f);
    store<warp_rows, width>(k_gradient, own_keys, sources, warp_begin, slice);
    store<warp_rows, width>(v_gradient, own_values, sources, warp_begin, slice);
}
