// Recurrences in chunks; names as in chunks.cuh. In order: what decays (`recurrence_sums` or `recurrence_decays`), of a delta
// rule what does not depend on the state (`recurrence_solve`), the states between chunks (`recurrence_scan` in chunk_states.cu),
// and outputs (`recurrence_chunk_outputs`).
#include "chunks.cuh"

/// Sums of the log decays (B, T, N) of heads from the first token of every chunk: (B, N, chunks, C).
/// Grid (chunks, N, B), block 32.
template <int C>
__global__ void __launch_bounds__(32) recurrence_sums(const float* __restrict__ logDecays, float* __restrict__ sums, int tokens) {
    using namespace recurrences;
    // Beyond it nothing is left, and differences of sums stay exact enough.
    constexpr float least = -60.0f;
    constexpr int own = (C + 31) / 32;
    const Chunk chunk(C, tokens);
    float x[own], sum = 0.0f;
#pragma unroll
    for (int i = 0; i < own; i++) {
        const int t = threadIdx.x * own + i;
        sum += t < chunk.count ? fmaxf(logDecays[chunk.at + static_cast<int64_t>(t) * chunk.heads], least) : 0.0f;
        x[i] = sum;
    }
    float before = shuffle_up(sum, 1);
    if (threadIdx.x == 0) before = 0.0f;
    for (int distance = 1; distance < 32; distance *= 2) {
        const float further = shuffle_up(before, distance);
        if (static_cast<int>(threadIdx.x) >= distance) before += further;
    }
#pragma unroll
    for (int i = 0; i < own; i++) {
        const int t = threadIdx.x * own + i;
        if (t < C) sums[chunk.index * C + t] = before + x[i];
    }
}

/// Of decays per channel, from their logarithms (B, T, N, K) and k (B, T, N, K): the ratios, lowered keys, and keys as they
/// reach the state after the chunk, `ends`, all (B, T, N, K), and the tables (B, N, chunks, table_rows(C), K).
/// Grid (chunks, N, B), block C K / 32, rounded up to 32, shared C / 16 · K · 4.
template <int K, int C>
__global__ void __launch_bounds__((C * K / 32 + 31) / 32 * 32) recurrence_decays(
    const bf16* __restrict__ k, const float* __restrict__ logDecays, const int32_t* __restrict__ starts,
    bf16* __restrict__ ratios, bf16* __restrict__ lowered, bf16* __restrict__ ends, float* __restrict__ tables, int tokens
) {
    using namespace recurrences;
    constexpr int blocks = C / block_tokens;
    SHARED_MEMORY(memory);
    float2* totals = reinterpret_cast<float2*>(memory);  // (blocks, K / 2)
    const Chunk chunk(C, tokens);
    const int block = threadIdx.x / (K / 2), pair = threadIdx.x % (K / 2), first = block * block_tokens;
    const bool active = block < blocks;
    const int start = starts ? starts[chunk.token + chunk.count - 1] : 0, last = start > 0 ? start - chunk.begin : -1;
    const int64_t step = chunk.step(K), place = (chunk.at + static_cast<int64_t>(first) * chunk.heads) * K + 2 * pair;
    float2 sums[block_tokens], sum = make_float2(0.0f, 0.0f), middle = sum;
#pragma unroll
    for (int t = 0; t < block_tokens; t++) {
        if (active && first + t < chunk.count) {
            const float2 g = *reinterpret_cast<const float2*>(logDecays + place + t * step);
            sum.x += fmaxf(g.x, least_log_decay), sum.y += fmaxf(g.y, least_log_decay);
        }
        sums[t] = sum;
        if (t == block_tokens / 2 - 1) middle = sum;
    }
    if (active) totals[threadIdx.x] = sum;
    __syncthreads();
    if (!active) return;
    float2 later = make_float2(0.0f, 0.0f);
    for (int other = block + 1; other < blocks; other++) {
        later.x += totals[other * (K / 2) + pair].x, later.y += totals[other * (K / 2) + pair].y;
    }
    float2* table = reinterpret_cast<float2*>(tables + chunk.index * table_rows(C) * K) + pair;
    table[(block + 1) * (K / 2)] = make_float2(exp_fast(sum.x - middle.x), exp_fast(sum.y - middle.y));
    table[(blocks + 1 + block) * (K / 2)] = make_float2(exp_fast(middle.x), exp_fast(middle.y));
    if (block == 0) {
        table[0] = make_float2(1.0f, 1.0f);
        table[(2 * blocks + 1) * (K / 2)] =
            last < 0 ? make_float2(exp_fast(sum.x + later.x), exp_fast(sum.y + later.y)) : make_float2(0.0f, 0.0f);
    }
#pragma unroll
    for (int t = 0; t < block_tokens; t++) {
        if (first + t >= chunk.count) continue;
        const float2 ratio = make_float2(exp_fast(sums[t].x - middle.x), exp_fast(sums[t].y - middle.y));
        const uint32_t key = *reinterpret_cast<const uint32_t*>(k + place + t * step);
        const float x = low_float(key), y = high_float(key);
        *reinterpret_cast<uint32_t*>(ratios + place + t * step) = pack_bf16(ratio.x, ratio.y);
        *reinterpret_cast<uint32_t*>(lowered + place + t * step) =
            pack_bf16(x * exp_fast(middle.x - sums[t].x), y * exp_fast(middle.y - sums[t].y));
        const float reaches = first + t >= last ? 1.0f : 0.0f;
        *reinterpret_cast<uint32_t*>(ends + place + t * step) = pack_bf16(
            reaches * x * exp_fast(sum.x - sums[t].x + later.x), reaches * y * exp_fast(sum.y - sums[t].y + later.y));
    }
}

namespace recurrences {

/// Shared memory of `recurrence_solve`.
constexpr int solve_shared(int K, int V, int C, bool channels, int decays) {
    return C * (tile_row(K) * (channels ? 2 : 1) + tile_row(V)) * 2 + C * (C + 4) * 4 + C * tile_row(C) * 2 + 2 * C * 4 + decays;
}

}  // namespace recurrences

/// Of a delta rule, with A = (I + M Diag(β))⁻¹: `solved` (B, N, chunks, C, C) = Diag(β) A, `recalls` W (B, T, N, K) = A (exp(F) ⊙ k),
/// zeros where the state before the chunk does not reach, and `errors` (B, T, N, V) = A v, which is w without the state.
/// `lowered` is k where decays are of heads. A is found in float32, column by column.
/// Grid (chunks, N, B), block 128, shared `solve_shared`.
template <int K, int V, int C, bool channels>
__global__ void __launch_bounds__(128) recurrence_solve(
    const bf16* __restrict__ k, const bf16* __restrict__ lowered, const bf16* __restrict__ v, const float* __restrict__ tables,
    const bf16* __restrict__ ratios, const float* __restrict__ betas, const int32_t* __restrict__ starts,
    bf16* __restrict__ solved, bf16* __restrict__ recalls, bf16* __restrict__ errors, int tokens
) {
    using namespace recurrences;
    constexpr int blocks = C / block_tokens, row = tile_row(K), value_row = tile_row(V), inverse_row = tile_row(C);
    SHARED_MEMORY(memory);
    bf16* raised = reinterpret_cast<bf16*>(memory);             // (C, row)
    bf16* keys = channels ? raised + C * row : raised;          // (C, row), lowered
    bf16* values = keys + C * row;                              // (C, value_row)
    bf16* inverse = values + C * value_row;                     // (C, inverse_row): A
    float* matrix = reinterpret_cast<float*>(inverse + C * inverse_row);  // (C, C + 4): M Diag(β)
    float* beta = matrix + C * (C + 4);                         // (C)
    float* reach = beta + C;                                    // (C)
    const Chunk chunk(C, tokens);
    copy_tile<K>(raised, row, k + chunk.at * K, chunk.step(K), C, chunk.count);
    if (channels) copy_tile<K>(keys, row, lowered + chunk.at * K, chunk.step(K), C, chunk.count);
    copy_tile<V>(values, value_row, v + chunk.at * V, chunk.step(V), C, chunk.count);
    copy_betas<C>(beta, betas, chunk);
    const Decays<K, C, channels> decays(
        reinterpret_cast<unsigned char*>(reach + C), tables, ratios, chunk.documents(starts), chunk.index, chunk.at, chunk.heads,
        chunk.begin, chunk.count);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    decays.raise_tile(raised, chunk.count);
    for (int t = threadIdx.x; t < C; t += blockDim.x) beta[t] = held_beta(beta[t]), reach[t] = decays.start_factor(t);
    __syncthreads();

    const int warp = threadIdx.x / 32;
    for (int block = warp; block < blocks; block += 4) {
        uint32_t x[K / 16][4];
        load_rows<K>(x, raised + block * block_tokens * row, row);
        for (int source = block; source >= 0; source--) {
            float products[2][4];
            clear(products);
            add_product_transposed(products, x, keys + source * block_tokens * row, row);
            decays.template weigh<true>(products, block, source);
#pragma unroll
            for (int n = 0; n < 2; n++) {
                const int j = source * block_tokens + n * 8 + lane_index() % 4 * 2;
                float* to = matrix + (block * block_tokens + lane_index() / 4) * (C + 4) + j;
                *reinterpret_cast<float2*>(to) = make_float2(products[n][0] * beta[j], products[n][1] * beta[j + 1]);
                *reinterpret_cast<float2*>(to + 8 * (C + 4)) =
                    make_float2(products[n][2] * beta[j], products[n][3] * beta[j + 1]);
            }
            decays.to_earlier(x, source);
        }
    }
    __syncthreads();
    if (threadIdx.x < C) {
        // Column c of A, from above: x_t = [t = c] - Σ_{j<t} (M Diag(β))_tj x_j, in four sums side by side.
        const int c = threadIdx.x;
        float x[C];
#pragma unroll
        for (int t = 0; t < C; t++) {
            float sums[4] = {t == c ? 1.0f : 0.0f, 0.0f, 0.0f, 0.0f};
            const float* line = matrix + t * (C + 4);
#pragma unroll
            for (int j = 0; j + 4 <= t; j += 4) {
                const float4 m = *reinterpret_cast<const float4*>(line + j);
                sums[0] -= m.x * x[j], sums[1] -= m.y * x[j + 1], sums[2] -= m.z * x[j + 2], sums[3] -= m.w * x[j + 3];
            }
#pragma unroll
            for (int j = t / 4 * 4; j < t; j++) sums[j % 4] -= line[j] * x[j];
            x[t] = sums[0] + sums[1] + (sums[2] + sums[3]);
            inverse[t * inverse_row + c] = to_bf16(x[t]);
            solved[(chunk.index * C + t) * C + c] = to_bf16(beta[t] * x[t]);
        }
    }
    __syncthreads();

    for (int block = warp; block < blocks; block += 4) {
        const int64_t place = chunk.at + static_cast<int64_t>(block * block_tokens) * chunk.heads;
        const int left = chunk.count - block * block_tokens;
        {
            float sum[K / 8][4];
            clear(sum);
            for (int source = block; source >= 0; source--) {
                uint32_t a[1][4];
                load_rows<16>(a, inverse + block * block_tokens * inverse_row + source * block_tokens, inverse_row);
                scale_operand(a, reach + source * block_tokens);
                add_product(sum, a, raised + source * block_tokens * row, row);
                decays.retreat_columns(sum, source);
            }
            store_rows(recalls + place * K, chunk.step(K), left, sum);
        }
        float sum[V / 8][4];
        clear(sum);
        for (int source = 0; source <= block; source++) {
            uint32_t a[1][4];
            load_rows<16>(a, inverse + block * block_tokens * inverse_row + source * block_tokens, inverse_row);
            add_product(sum, a, values + source * block_tokens * value_row, value_row);
        }
        store_rows(errors + place * V, chunk.step(V), left, sum);
    }
}

namespace recurrences {

/// Shared memory of `recurrence_chunk_outputs`.
constexpr int outputs_shared(int K, int V, int C, int decays) {
    return C * (tile_row(K) + tile_row(V)) * 2 + K * tile_row(V) * 2 + C * 4 + decays;
}

}  // namespace recurrences

/// o (B, T, H, V), H = N · group, from the states before chunks. `lowered` is k where decays are of heads; `values` are v, or w of a
/// delta rule.
/// Grid (chunks, N, B), block 2 C, shared `outputs_shared`.
template <int K, int V, int C, bool channels, bool delta>
__global__ void __launch_bounds__(2 * C) recurrence_chunk_outputs(
    const bf16* __restrict__ q, const bf16* __restrict__ lowered, const bf16* __restrict__ values,
    const float* __restrict__ tables, const bf16* __restrict__ ratios, const float* __restrict__ betas,
    const int32_t* __restrict__ starts, const bf16* __restrict__ states, bf16* __restrict__ o, int tokens, int group, float scale
) {
    using namespace recurrences;
    constexpr int row = tile_row(K), value_row = tile_row(V);
    SHARED_MEMORY(memory);
    bf16* keys = reinterpret_cast<bf16*>(memory);  // (C, row)
    bf16* written = keys + C * row;                // (C, value_row)
    bf16* state = written + C * value_row;         // (K, value_row)
    float* beta = reinterpret_cast<float*>(state + K * value_row);
    const Chunk chunk(C, tokens);
    copy_tile<K>(keys, row, lowered + chunk.at * K, chunk.step(K), C, chunk.count);
    copy_tile<V>(written, value_row, values + chunk.at * V, chunk.step(V), C, chunk.count);
    copy_tile<V>(state, value_row, states + (chunk.index + chunk.index / gridDim.x) * K * V, V, K, K);
    if (delta) copy_betas<C>(beta, betas, chunk);
    const Decays<K, C, channels> decays(
        reinterpret_cast<unsigned char*>(beta + C), tables, ratios, chunk.documents(starts), chunk.index, chunk.at, chunk.heads,
        chunk.begin, chunk.count);
    copy_async_commit();
    const int block = threadIdx.x / 32, own = block * block_tokens, left = chunk.count - own;
    const int64_t rows = static_cast<int64_t>(chunk.heads) * group, line = (chunk.token + own) * rows + blockIdx.y * group;
    uint32_t x[K / 16][4];
    fetch_rows<K>(x, q + line * K, rows * K, left);
    copy_async_wait<0>();
    __syncthreads();

    for (int head = 0; head < group; head++) {
        float out[V / 8][4];
        clear(out);
        decays.raise(x, block);
        for (int source = block; source >= 0; source--) {
            float products[2][4];
            uint32_t a[1][4];
            clear(products);
            add_product_transposed(products, x, keys + source * block_tokens * row, row);
            decays.template weigh<false>(products, block, source);
            pack_rows(a, products);
            if (delta) scale_operand(a, beta + source * block_tokens);
            add_product(out, a, written + source * block_tokens * value_row, value_row);
            decays.to_earlier(x, source);
        }
        decays.to_start(x, block);
        add_product(out, x, state, value_row);
        if (head + 1 < group) fetch_rows<K>(x, q + (line + head + 1) * K, rows * K, left);
        scale_rows(out, scale, scale);
        store_rows(o + (line + head) * V, rows * V, left, out);
    }
}
