// Gradients of recurrences in chunks; names as in chunks.cuh, ds the gradient of the state after a chunk, do that of o. All
// that reads is a reader: the queries with y = scale · do, and the keys of a delta rule with y = -dv, since w holds what they
// recall. Then, with x a reader's rows,
//
//     du_j = Σ_t (exp(F_t - F_j) ⊙ k_j · q_t) scale do_t + (exp(F_C - F_j) ⊙ k_j) ds      dv = Aᵀ Diag(β) du
//     dx_t = exp(F_t) ⊙ (S_0 y_t) + Σ_j exp(F_t - F_j) ⊙ k_j (u_j · y_t)
//     dk_j = Σ_t exp(F_t - F_j) ⊙ x_t (u_j · y_t) + exp(F_C - F_j) ⊙ (ds u_j), and what keys get as readers
//     dβ_t = w_t · dv_t / β_t
//
// Every exp(F_t - F_j) raises F_t and lowers F_j alike, so that the log decays get, within a document,
//
//     dg_t = Σ_{s≥t} (Σ x_s ⊙ dx_s - k_s ⊙ dk_s as it writes) + (S_C ⊙ ds) summed over V
//
// In order: `recurrence_read_gradients`, `recurrence_scan` reversed, `recurrence_reader_gradients`, `recurrence_writer_gradients`.
#include "chunks.cuh"

namespace recurrences {

/// Parts in which warps share the V columns of a block of tokens.
constexpr int value_parts(int V) { return V % 32 == 0 ? 2 : 1; }
/// Shared memory of `recurrence_read_gradients`.
constexpr int read_gradients_shared(int K, int V, int C, int decays) {
    return C * (tile_row(K) + tile_row(V)) * 2 + C * 4 + decays;
}

}  // namespace recurrences

/// What the chunk's own outputs give u, into `values` (B, T, N, V), and the state before it, into `states` (B, N, chunks + 1, K, V).
/// Grid (chunks, N, B), block 2 C · value_parts(V), shared `read_gradients_shared`.
template <int K, int V, int C, bool channels>
__global__ void __launch_bounds__(2 * C * recurrences::value_parts(V)) recurrence_read_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ lowered, const float* __restrict__ tables,
    const bf16* __restrict__ ratios, const int32_t* __restrict__ starts, const bf16* __restrict__ gradient,
    bf16* __restrict__ values, bf16* __restrict__ states, int tokens, int group, float scale
) {
    using namespace recurrences;
    constexpr int row = tile_row(K), value_row = tile_row(V), blocks = C / block_tokens, parts = value_parts(V), X = V / parts;
    constexpr int warps = blocks * parts, tasks = (K / 16 * parts + warps - 1) / warps;
    SHARED_MEMORY(memory);
    bf16* queries = reinterpret_cast<bf16*>(memory);  // (C, row), raised
    bf16* outputs = queries + C * row;                // (C, value_row): do
    float* reach = reinterpret_cast<float*>(outputs + C * value_row);
    const Chunk chunk(C, tokens);
    const Decays<K, C, channels> decays(
        reinterpret_cast<unsigned char*>(reach + C), tables, ratios, chunk.documents(starts), chunk.index, chunk.at, chunk.heads,
        chunk.begin, chunk.count);
    const int64_t rows = static_cast<int64_t>(chunk.heads) * group, line = chunk.token * rows + blockIdx.y * group;
    const int warp = threadIdx.x / 32, block = warp % blocks, column = warp / blocks * X, own = block * block_tokens;
    const int64_t place = chunk.at + static_cast<int64_t>(own) * chunk.heads;
    float written[X / 8][4], sums[tasks][X / 8][4];
    clear(written);
#pragma unroll
    for (int task = 0; task < tasks; task++) clear(sums[task]);
    for (int head = 0; head < group; head++) {
        if (head > 0) __syncthreads();
        copy_tile<K>(queries, row, q + (line + head) * K, rows * K, C, chunk.count);
        copy_tile<V>(outputs, value_row, gradient + (line + head) * V, rows * V, C, chunk.count);
        copy_async_commit();
        uint32_t x[K / 16][4];
        fetch_rows<K>(x, lowered + place * K, chunk.step(K), chunk.count - own);
        copy_async_wait<0>();
        __syncthreads();
        decays.raise_tile(queries, chunk.count);
        for (int t = threadIdx.x; t < C; t += blockDim.x) reach[t] = decays.start_factor(t);
        __syncthreads();
        for (int target = block; target < blocks; target++) {
            float products[2][4];
            uint32_t a[1][4];
            if (target > block) decays.to_later(x, target);
            clear(products);
            add_product_transposed(products, x, queries + target * block_tokens * row, row);
            decays.template weigh_written<false>(products, block, target);
            pack_rows(a, products);
            add_product(written, a, outputs + target * block_tokens * value_row + column, value_row);
        }
#pragma unroll
        for (int task = 0; task < tasks; task++) {
            const int item = warp + task * warps, m = item / parts * 16, part = item % parts * X;
            if (m >= K) continue;
            float sum[X / 8][4];
            clear(sum);
            for (int target = blocks - 1; target >= 0; target--) {
                uint32_t a[1][4];
                load_matrix_x4_transposed(a[0], crossed(queries + target * block_tokens * row + m, row));
                scale_operand(a, reach + target * block_tokens);
                add_product(sum, a, outputs + target * block_tokens * value_row + part, value_row);
                decays.retreat_rows(sum, target, m);
            }
#pragma unroll
            for (int n = 0; n < X / 8; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) sums[task][n][i] += sum[n][i];
            }
        }
    }
    scale_rows(written, scale, scale);
    store_rows(values + place * V + column, chunk.step(V), chunk.count - own, written);
#pragma unroll
    for (int task = 0; task < tasks; task++) {
        const int item = warp + task * warps, m = item / parts * 16, part = item % parts * X;
        if (m >= K) continue;
        scale_rows(sums[task], scale, scale);
        store_rows(states + ((chunk.index + chunk.index / gridDim.x) * K + m) * V + part, V, 16, sums[task]);
    }
}

namespace recurrences {

/// Shared memory of `recurrence_reader_gradients`.
constexpr int reader_gradients_shared(int K, int V, int C, bool delta, int decays) {
    return C * (tile_row(K) + tile_row(V)) * 2 + K * tile_row(V) * 2 + (delta ? C * (tile_row(V) + tile_row(C)) * 2 : 0) + C * 4
        + decays;
}

/// Adds up what F gets of a block's tokens: of channels, or summed over them. Readers and writers are taken as the products had
/// them, raised or lowered and rounded, so that what one raises and the other lowers is the same number.
template <int K, bool channels> struct Balance {
    float sums[channels ? K / 8 : 1][4];

    __device__ Balance() { clear(sums); }
    /// Adds factor · x ⊙ d, d (16, K); `pair_at` gives two columns of x from a row of the block and a column on.
    template <typename Pairs> __device__ void add(const float (&d)[K / 8][4], float factor, Pairs pair_at) {
        const int line = lane_index() / 4, column = lane_index() % 4 * 2;
#pragma unroll
        for (int n = 0; n < K / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const uint32_t pair = pair_at(line + half * 8, n * 8 + column);
                const float low = factor * low_float(pair) * d[n][half * 2];
                const float high = factor * high_float(pair) * d[n][half * 2 + 1];
                if constexpr (channels) sums[n][half * 2] += low, sums[n][half * 2 + 1] += high;
                else sums[0][half] += low + high;
            }
        }
    }
};

}  // namespace recurrences

/// dq (B, T, H, K) and what F gets of all readers, `balance`: (B, T, N, K), or (B, T, N) where decays are of heads. Of a delta rule also
/// dv, in the place of du, dβ, and what keys get as readers, into `kGradient`.
/// Grid (chunks, N, B), block 2 C, shared `reader_gradients_shared`.
template <int K, int V, int C, bool channels, bool delta>
__global__ void __launch_bounds__(2 * C) recurrence_reader_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ lowered, const bf16* __restrict__ values,
    const float* __restrict__ tables, const bf16* __restrict__ ratios, const float* __restrict__ betas,
    const int32_t* __restrict__ starts, const bf16* __restrict__ states, const bf16* __restrict__ solved,
    const bf16* __restrict__ gradient, bf16* vGradient, bf16* __restrict__ qGradient, bf16* __restrict__ kGradient,
    float* __restrict__ betasGradient, float* __restrict__ balance, int tokens, int group, float scale
) {
    using namespace recurrences;
    constexpr int row = tile_row(K), value_row = tile_row(V), solved_row = tile_row(C), blocks = C / block_tokens;
    SHARED_MEMORY(memory);
    bf16* keys = reinterpret_cast<bf16*>(memory);  // (C, row), lowered
    bf16* written = keys + C * row;                // (C, value_row): v, or w
    bf16* state = written + C * value_row;         // (K, value_row)
    bf16* adjoints = state + K * value_row;        // (C, value_row): du, of a delta rule
    bf16* inverse = adjoints + C * value_row;      // (C, solved_row): Diag(β) A
    float* beta = reinterpret_cast<float*>(delta ? inverse + C * solved_row : adjoints);
    const Chunk chunk(C, tokens);
    copy_tile<K>(keys, row, lowered + chunk.at * K, chunk.step(K), C, chunk.count);
    copy_tile<V>(written, value_row, values + chunk.at * V, chunk.step(V), C, chunk.count);
    copy_tile<V>(state, value_row, states + (chunk.index + chunk.index / gridDim.x) * K * V, V, K, K);
    if (delta) {
        copy_tile<V>(adjoints, value_row, vGradient + chunk.at * V, chunk.step(V), C, chunk.count);
        copy_tile<C>(inverse, solved_row, solved + chunk.index * C * C, C, C, C);
        copy_betas<C>(beta, betas, chunk);
    }
    const Decays<K, C, channels> decays(
        reinterpret_cast<unsigned char*>(beta + C), tables, ratios, chunk.documents(starts), chunk.index, chunk.at, chunk.heads,
        chunk.begin, chunk.count);
    copy_async_commit();
    const int block = threadIdx.x / 32, own = block * block_tokens, left = chunk.count - own, line = lane_index() / 4;
    const int64_t rows = static_cast<int64_t>(chunk.heads) * group, place = chunk.at + static_cast<int64_t>(own) * chunk.heads;
    const int64_t query = (chunk.token + own) * rows + blockIdx.y * group;
    uint32_t y[V / 16][4];
    fetch_rows<V>(y, gradient + query * V, rows * V, left);
    copy_async_wait<0>();
    __syncthreads();

    Balance<K, channels> reached;
    const auto read = [&](float (&d)[K / 8][4], auto strict) {
        clear(d);
        add_product_transposed(d, y, state, value_row);
        decays.enter(d, block);
        for (int source = 0; source <= block; source++) {
            float products[2][4];
            uint32_t a[1][4];
            decays.advance(d, source);
            clear(products);
            add_product_transposed(products, y, written + source * block_tokens * value_row, value_row);
            decays.template weigh<decltype(strict)::value>(products, block, source);
            pack_rows(a, products);
            if (delta) scale_operand(a, beta + source * block_tokens);
            add_product(d, a, keys + source * block_tokens * row, row);
        }
    };
    // Rows of a reader, `step` apart, raised.
    const auto raised = [&](const bf16* x, int64_t step) {
        return [=](int t, int column) {
            return t < left ? decays.raised_pair(*reinterpret_cast<const uint32_t*>(x + t * step + column), own + t, column) : 0u;
        };
    };
    for (int head = 0; head < group; head++) {
        float d[K / 8][4];
        read(d, Constant<false>());
        if (head + 1 < group) fetch_rows<V>(y, gradient + (query + head + 1) * V, rows * V, left);
        reached.add(d, scale, raised(q + (query + head) * K, rows * K));
        decays.leave(d, block);
        scale_rows(d, scale, scale);
        store_rows(qGradient + (query + head) * K, rows * K, left, d);
    }
    if constexpr (delta) {
        float sum[V / 8][4];
        clear(sum);
        for (int target = block; target < blocks; target++) {
            uint32_t a[1][4];
            load_matrix_x4_transposed(a[0], crossed(inverse + target * block_tokens * solved_row + own, solved_row));
            add_product(sum, a, adjoints + target * block_tokens * value_row, value_row);
        }
        float products[2] = {0.0f, 0.0f};
#pragma unroll
        for (int n = 0; n < V / 8; n++) {
            const bf16* from = written + (own + line) * value_row + n * 8 + lane_index() % 4 * 2;
            const uint32_t upper = *reinterpret_cast<const uint32_t*>(from);
            const uint32_t lower = *reinterpret_cast<const uint32_t*>(from + 8 * value_row);
            products[0] += sum[n][0] * low_float(upper) + sum[n][1] * high_float(upper);
            products[1] += sum[n][2] * low_float(lower) + sum[n][3] * high_float(lower);
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float product = row_sum(products[half]);
            const int t = line + half * 8;
            if (lane_index() % 4 == 0 && t < left) {
                betasGradient[place + static_cast<int64_t>(t) * chunk.heads] = product / held_beta(beta[own + t]);
            }
        }
        store_rows(vGradient + place * V, chunk.step(V), left, sum);
        scale_rows(sum, -1.0f, -1.0f);
        pack_rows(y, sum);
        float d[K / 8][4];
        read(d, Constant<true>());
        reached.add(d, 1.0f, raised(k + place * K, chunk.step(K)));
        decays.leave(d, block);
        store_rows(kGradient + place * K, chunk.step(K), left, d);
    }
    if constexpr (channels) {
#pragma unroll
        for (int n = 0; n < K / 8; n++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int t = line + half * 8;
                if (t >= left) continue;
                *reinterpret_cast<float2*>(balance + (place + static_cast<int64_t>(t) * chunk.heads) * K + n * 8
                                           + lane_index() % 4 * 2) =
                    make_float2(reached.sums[n][half * 2], reached.sums[n][half * 2 + 1]);
            }
        }
    } else {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float sum = row_sum(reached.sums[0][half]);
            const int t = line + half * 8;
            if (lane_index() % 4 == 0 && t < left) balance[place + static_cast<int64_t>(t) * chunk.heads] = sum;
        }
    }
}

namespace recurrences {

/// Shared memory of `recurrence_writer_gradients`.
constexpr int writer_tiles(int K, int V, int C, bool channels) {
    const int tiles = C * (tile_row(K) + tile_row(V)) * 2, sums = channels ? C * (K + 4) * 4 : C * 4;
    return tiles > sums ? tiles : sums;
}
constexpr int writer_gradients_shared(int K, int V, int C, bool channels, int decays) {
    return writer_tiles(K, V, C, channels) + K * tile_row(V) * 2 + K * 4 + C * 4 + decays;
}

}  // namespace recurrences

/// dk (B, T, N, K), of a delta rule added to what keys got as readers, and the gradient of the log decays, from `balance` in its place.
/// `adjoints` (B, N, chunks + 1, K, V) are ds after every chunk, `states` those before.
/// Grid (chunks, N, B), block 2 C, shared `writer_gradients_shared`.
template <int K, int V, int C, bool channels, bool delta>
__global__ void __launch_bounds__(2 * C) recurrence_writer_gradients(
    const bf16* __restrict__ q, const bf16* __restrict__ k, const bf16* __restrict__ lowered, const bf16* __restrict__ values,
    const float* __restrict__ tables, const bf16* __restrict__ ratios, const float* __restrict__ betas,
    const int32_t* __restrict__ starts, const bf16* __restrict__ states, const bf16* __restrict__ adjoints, const bf16* __restrict__ gradient,
    const bf16* __restrict__ vGradient, bf16* __restrict__ kGradient, float* __restrict__ logDecaysGradient, int tokens, int group,
    float scale
) {
    using namespace recurrences;
    constexpr int row = tile_row(K), value_row = tile_row(V), blocks = C / block_tokens, sum_row = K + 4;
    SHARED_MEMORY(memory);
    bf16* readers = reinterpret_cast<bf16*>(memory);  // (C, row), raised
    bf16* outputs = readers + C * row;                // (C, value_row): their y
    float* sums = reinterpret_cast<float*>(memory);   // at last (C, sum_row): what F gets; (C) where decays are of heads
    bf16* adjoint = reinterpret_cast<bf16*>(memory + writer_tiles(K, V, C, channels));  // (K, value_row)
    float* kept = reinterpret_cast<float*>(adjoint + K * value_row);                    // (K)
    float* beta = kept + K;                                                             // (C)
    const Chunk chunk(C, tokens);
    copy_tile<V>(adjoint, value_row, adjoints + (chunk.index + chunk.index / gridDim.x) * K * V, V, K, K);
    if (delta) copy_betas<C>(beta, betas, chunk);
    const Decays<K, C, channels> decays(
        reinterpret_cast<unsigned char*>(beta + C), tables, ratios, chunk.documents(starts), chunk.index, chunk.at, chunk.heads,
        chunk.begin, chunk.count);
    const int block = threadIdx.x / 32, own = block * block_tokens, left = chunk.count - own, line = lane_index() / 4;
    const int64_t rows = static_cast<int64_t>(chunk.heads) * group, place = chunk.at + static_cast<int64_t>(own) * chunk.heads;
    const int64_t query = chunk.token * rows + blockIdx.y * group;
    uint32_t u[V / 16][4];
    fetch_rows<V>(u, values + place * V, chunk.step(V), left);

    float total[K / 8][4];
    const auto write = [&](float (&d)[K / 8][4], auto strict) {
        clear(d);
        for (int target = blocks - 1; target >= block; target--) {
            float products[2][4];
            uint32_t a[1][4];
            if (target + 1 < blocks) decays.retreat(d, target + 1);
            clear(products);
            add_product_transposed(products, u, outputs + target * block_tokens * value_row, value_row);
            decays.template weigh_written<decltype(strict)::value>(products, block, target);
            pack_rows(a, products);
            if (delta) scale_operand_rows(a, beta[own + line], beta[own + line + 8]);
            add_product(d, a, readers + target * block_tokens * row, row);
        }
    };
    for (int reader = 0; reader < group + delta; reader++) {
        const bool isQuery = reader < group;
        if (reader > 0) __syncthreads();
        copy_tile<K>(
            readers, row, isQuery ? q + (query + reader) * K : k + chunk.at * K, isQuery ? rows * K : chunk.step(K), C,
            chunk.count);
        copy_tile<V>(
            outputs, value_row, isQuery ? gradient + (query + reader) * V : vGradient + chunk.at * V,
            isQuery ? rows * V : chunk.step(V), C, chunk.count);
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();
        if (channels) {
            decays.raise_tile(readers, chunk.count);
            __syncthreads();
        }
        if (reader == 0) {
            clear(total);
            add_product_transposed(total, u, adjoint, value_row);
            decays.enter_back(total, block, chunk.count);
            for (int target = blocks - 1; target > block; target--) decays.retreat(total, target);
            if (delta) scale_rows(total, beta[own + line], beta[own + line + 8]);
        }
        float d[K / 8][4];
        if (isQuery) write(d, Constant<false>());
        else write(d, Constant<true>());
        const float factor = isQuery ? scale : -1.0f;
#pragma unroll
        for (int n = 0; n < K / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) total[n][i] += factor * d[n][i];
        }
    }
    Balance<K, channels> reached;
    reached.add(total, -1.0f, [&](int t, int column) {
        return t < left ? *reinterpret_cast<const uint32_t*>(lowered + place * K + t * chunk.step(K) + column) : 0u;
    });
    decays.leave_back(total, block);
    store_rows<delta>(kGradient + place * K, chunk.step(K), left, total);

    // What F gets of the state after the chunk: four lanes a channel.
    const bf16* after = states + (chunk.index + chunk.index / gridDim.x + 1) * K * V;
    for (int m = threadIdx.x / 4; m < K; m += blockDim.x / 4) {
        float sum = 0.0f;
        for (int i = threadIdx.x % 4 * 8; i < V; i += 32) {
            const uint4 x = *reinterpret_cast<const uint4*>(after + m * V + i);
            const uint4 d = *reinterpret_cast<const uint4*>(adjoint + m * value_row + i);
            sum = add_dot(sum, x, d);
        }
        sum = row_sum(sum);
        if (threadIdx.x % 4 == 0) kept[m] = sum;
    }
    __syncthreads();  // the tiles are free
    if constexpr (channels) {
#pragma unroll
        for (int n = 0; n < K / 8; n++) {
            float* to = sums + (own + line) * sum_row + n * 8 + lane_index() % 4 * 2;
            *reinterpret_cast<float2*>(to) = make_float2(reached.sums[n][0], reached.sums[n][1]);
            *reinterpret_cast<float2*>(to + 8 * sum_row) = make_float2(reached.sums[n][2], reached.sums[n][3]);
        }
    } else {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float sum = row_sum(reached.sums[0][half]);
            const int t = own + line + half * 8;
            if (lane_index() % 4 == 0) {
                sums[t] = sum + (t < chunk.count ? logDecaysGradient[chunk.at + static_cast<int64_t>(t) * chunk.heads] : 0.0f);
            }
        }
    }
    __syncthreads();
    if constexpr (channels) {
        // Several loads under way at a time.
        constexpr int ahead = 16;
        for (int m = threadIdx.x; m < K; m += blockDim.x) {
            float sum = kept[m];
            float* out = logDecaysGradient + chunk.at * K + m;
            for (int last = C - ahead; last >= 0; last -= ahead) {
                float read[ahead];
#pragma unroll
                for (int t = 0; t < ahead; t++) read[t] = last + t < chunk.count ? out[(last + t) * chunk.step(K)] : 0.0f;
#pragma unroll
                for (int t = ahead - 1; t >= 0; t--) {
                    if (last + t >= chunk.count) continue;
                    sum += sums[(last + t) * sum_row + m] + read[t];
                    if (decays.first[last + t] == last + t) sum = 0.0f;
                    out[(last + t) * chunk.step(K)] = sum;
                }
            }
        }
    } else {
        float end = 0.0f;
        for (int m = 0; m < K; m++) end += kept[m];
        for (int t = threadIdx.x; t < chunk.count; t += blockDim.x) {
            float sum = 0.0f;
            int s = t;
            for (; s < chunk.count && (s == t || decays.first[s] != s); s++) sum += sums[s];
            if (s == chunk.count) sum += end;
            logDecaysGradient[chunk.at + static_cast<int64_t>(t) * chunk.heads] = decays.first[t] == t ? 0.0f : sum;
        }
    }
}
