// The states of recurrences between chunks, and on the way back their gradients; names as in chunks.cuh.
#include "chunks.cuh"

namespace recurrences {

/// A stage of `recurrence_scan` in shared memory.
template <int K, int slice, int C, bool channels, bool delta, bool reversed> struct ScanStage {
    static constexpr bool has_first = delta || reversed, has_second = delta || !reversed;
    static constexpr int row = tile_row(K), slice_row = tile_row(slice), kept = channels ? K : C;
    static constexpr int bytes = C * row * 2 * (has_first + has_second) + C * slice_row * 2 + (reversed ? K * slice_row * 2 : 0)
        + (kept + C) * 4;
    bf16* first;    // (C, row): W, or the keys when reversed
    bf16* second;   // (C, row): the other
    bf16* values;   // (C, slice_row)
    bf16* added;    // (K, slice_row), where reversed
    float* decays;  // (K) what is kept of each channel, or (C) the sums of the head
    float* beta;    // (C), of a delta rule

    __device__ explicit ScanStage(unsigned char* memory) {
        first = reinterpret_cast<bf16*>(memory);
        second = first + (has_first ? C * row : 0);
        values = second + (has_second ? C * row : 0);
        added = values + C * slice_row;
        decays = reinterpret_cast<float*>(added + (reversed ? K * slice_row : 0));
        beta = decays + kept;
    }
};

constexpr int scan_shared(int stage, int K, int slice, int C, int stages) {
    return stage * stages + (K + C) * tile_row(slice) * 2 + (2 * C + K) * 4;
}

}  // namespace recurrences

/// The states between chunks, one chunk after the other, `slice` of their V columns a block. With S (K, V) the state before a
/// chunk, from the initial states `from` (B, N, K, V) or zeros where null, into `states` (B, N, chunks + 1, K, V), the last of them
/// the final one, which also goes to `to` in float32 unless null, and which may be `from`:
///
///     X = values - first S        S ← keep ⊙ S + endsᵀ (β X)
///
/// values: A v and `first` W of a delta rule, whose w = X goes to `results` (which may be `values`); else X is v.
/// `reversed`, from the last chunk to the first, S the gradient of the state after a chunk, in the place of what the chunk's
/// outputs give that of the state before, read from `states`:
///
///     X = values + first S        S ← keep ⊙ S + added - Wᵀ (β X)
///
/// with `first` the ends and `second` W: X is the gradient of u. Where decays are of heads, keys stand for the ends. Four warps
/// compute; four more bring what comes next, and take the states away, since one warp a scheduler is slow at doing both.
/// Grid (V / slice, N, B), block 256, shared `scan_shared`.
template <int K, int V, int slice, int C, bool channels, bool delta, bool reversed, int stages>
__global__ void __launch_bounds__(256) recurrence_scan(
    const bf16* __restrict__ first, const bf16* __restrict__ second, const bf16* values, const float* __restrict__ tables,
    const float* __restrict__ betas, const int32_t* __restrict__ starts, bf16* results, bf16* states,
    const float* from, float* to, int tokens
) {
    using namespace recurrences;
    using Stage = ScanStage<K, slice, C, channels, delta, reversed>;
    constexpr int row = Stage::row, slice_row = Stage::slice_row, rounds = (K + 63) / 64, blocks = C / block_tokens;
    SHARED_MEMORY(memory);
    bf16* state = reinterpret_cast<bf16*>(memory + Stage::bytes * stages);  // (K, slice_row)
    bf16* written = state + K * slice_row;                                 // (C, slice_row)
    float* keep = reinterpret_cast<float*>(written + C * slice_row);       // (K)
    float* outer = keep + K;                                               // (C): of rows of the first product
    float* inner = outer + C;                                              // (C): of rows of what the second takes
    const int heads = gridDim.y, column = blockIdx.x * slice, warp = threadIdx.x / 32, chunks = (tokens + C - 1) / C;
    const int64_t head = static_cast<int64_t>(blockIdx.z) * heads + blockIdx.y, sequence = static_cast<int64_t>(blockIdx.z) * tokens;
    const int line = lane_index() / 4, pair = lane_index() % 4 * 2;
    const bool computes = threadIdx.x < 128;
    const int carrier = threadIdx.x - 128;  // of the 128 threads that carry

    const auto chunk_of = [&](int turn) { return reversed ? chunks - 1 - turn : turn; };
    const auto state_at = [&](int chunk) { return states + ((head * (chunks + 1) + chunk) * K) * V + column; };
    const auto prefetch = [&](int turn) {
        if (turn < chunks) {
            const Stage stage(memory + turn % stages * Stage::bytes);
            const int chunk = chunk_of(turn), begin = chunk * C, count = min(C, tokens - begin);
            const int64_t at = (sequence + begin) * heads + blockIdx.y, step = heads;
            if (Stage::has_first) copy_tile_by<K>(carrier, 128, stage.first, row, first + at * K, step * K, C, count);
            if (Stage::has_second) copy_tile_by<K>(carrier, 128, stage.second, row, second + at * K, step * K, C, count);
            copy_tile_by<slice>(carrier, 128, stage.values, slice_row, values + at * V + column, step * V, C, count);
            if (reversed) copy_tile_by<slice>(carrier, 128, stage.added, slice_row, state_at(chunk), V, K, K);
            const int64_t table = head * chunks + chunk;
            const float* decays = channels ? tables + (table * table_rows(C) + table_rows(C) - 1) * K : tables + table * C;
            copy_floats_by(carrier, 128, stage.decays, decays, 1, Stage::kept, Stage::kept);
            if (delta) copy_floats_by(carrier, 128, stage.beta, betas + at, step, C, count);
        }
        copy_async_commit();
    };

    float sum[rounds][slice / 8][4];
#pragma unroll
    for (int round = 0; round < rounds; round++) {
        const int m = warp * 16 + round * 64 + line;
#pragma unroll
        for (int n = 0; n < slice / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int64_t place = (head * K + m + i / 2 * 8) * V + column + n * 8 + pair + i % 2;
                sum[round][n][i] = computes && from && m < K ? from[place] : 0.0f;
            }
        }
    }
    const auto show = [&]() {
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int m = warp * 16 + round * 64;
            if (m >= K) continue;
#pragma unroll
            for (int n = 0; n < slice / 8; n++) {
                uint32_t* place = reinterpret_cast<uint32_t*>(state + (m + line) * slice_row + n * 8 + pair);
                place[0] = pack_bf16(sum[round][n][0], sum[round][n][1]);
                place[4 * slice_row] = pack_bf16(sum[round][n][2], sum[round][n][3]);
            }
        }
    };
    const auto keep_state = [&](int chunk) {
        bf16* place = state_at(chunk);
        for (int i = carrier; i < K * (slice / 8); i += 128) {
            const int m = i / (slice / 8), c = i % (slice / 8) * 8;
            *reinterpret_cast<uint4*>(place + static_cast<int64_t>(m) * V + c) =
                *reinterpret_cast<const uint4*>(state + m * slice_row + c);
        }
    };

    for (int turn = 0; !computes && turn < stages - 1; turn++) prefetch(turn);
    for (int turn = 0; turn < chunks; turn++) {
        const Stage stage(memory + turn % stages * Stage::bytes);
        const int chunk = chunk_of(turn), begin = chunk * C, count = min(C, tokens - begin);
        if (!computes) copy_async_wait<stages - 2>();
        __syncthreads();
        if (computes) {
            show();
        } else {
            const int start = starts ? starts[sequence + begin + count - 1] : 0, last = start > 0 ? start - begin : -1;
            for (int t = carrier; t < C; t += 128) {
                const float reaches = t >= last ? (channels ? 1.0f : exp_fast(stage.decays[C - 1] - stage.decays[t])) : 0.0f;
                const float beta = delta ? held_beta(stage.beta[t]) : 1.0f;
                outer[t] = reversed ? reaches : -1.0f;
                inner[t] = reversed ? -beta : beta * reaches;
            }
            for (int m = carrier; m < K; m += 128) {
                keep[m] = channels ? stage.decays[m] : last < 0 ? exp_fast(stage.decays[C - 1]) : 0.0f;
            }
        }
        __syncthreads();
        if (!computes) {
            keep_state(chunk);
            prefetch(turn + stages - 1);
            continue;
        }
        for (int block = warp; block < blocks; block += 4) {
            float x[slice / 8][4];
            const int t = block * block_tokens + line;
            clear(x);
            if (Stage::has_first) {
                // Two sums side by side: half as long a chain of products.
                float other[slice / 8][4];
                clear(other);
#pragma unroll
                for (int k = 0; k < K / 16; k++) {
                    uint32_t a[1][4];
                    load_rows<16>(a, stage.first + block * block_tokens * row + k * 16, row);
                    if (k % 2 == 0) add_product(x, a, state + k * 16 * slice_row, slice_row);
                    else add_product(other, a, state + k * 16 * slice_row, slice_row);
                }
#pragma unroll
                for (int n = 0; n < slice / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) x[n][i] += other[n][i];
                }
                scale_rows(x, outer[t], outer[t + 8]);
            }
#pragma unroll
            for (int n = 0; n < slice / 8; n++) {
                const uint32_t* place = reinterpret_cast<const uint32_t*>(stage.values + t * slice_row + n * 8 + pair);
                const uint32_t upper = place[0], lower = place[4 * slice_row];
                x[n][0] += low_float(upper), x[n][1] += high_float(upper);
                x[n][2] += low_float(lower), x[n][3] += high_float(lower);
            }
            if (Stage::has_first) {
                const int64_t at = (sequence + begin + block * block_tokens) * heads + blockIdx.y;
                store_rows(
                    results + at * V + column, static_cast<int64_t>(heads) * V, count - block * block_tokens, x);
            }
            if (Stage::has_second) {
                scale_rows(x, inner[t], inner[t + 8]);
#pragma unroll
                for (int n = 0; n < slice / 8; n++) {
                    uint32_t* place = reinterpret_cast<uint32_t*>(written + t * slice_row + n * 8 + pair);
                    place[0] = pack_bf16(x[n][0], x[n][1]);
                    place[4 * slice_row] = pack_bf16(x[n][2], x[n][3]);
                }
            }
        }
        sync_first<128>();
#pragma unroll
        for (int round = 0; round < rounds; round++) {
            const int m = warp * 16 + round * 64;
            if (m >= K) continue;
            scale_rows(sum[round], keep[m + line], keep[m + line + 8]);
            if (reversed) {
#pragma unroll
                for (int n = 0; n < slice / 8; n++) {
                    const uint32_t* place = reinterpret_cast<const uint32_t*>(stage.added + (m + line) * slice_row + n * 8 + pair);
                    const uint32_t upper = place[0], lower = place[4 * slice_row];
                    sum[round][n][0] += low_float(upper), sum[round][n][1] += high_float(upper);
                    sum[round][n][2] += low_float(lower), sum[round][n][3] += high_float(lower);
                }
            }
            if (Stage::has_second) {
#pragma unroll
                for (int j = 0; j < C; j += 16) {
                    uint32_t a[1][4];
                    load_matrix_x4_transposed(a[0], crossed(stage.second + j * row + m, row));
                    add_product(sum[round], a, written + j * slice_row, slice_row);
                }
            }
        }
    }
    __syncthreads();
    if (!reversed) {
        if (computes) show();
        __syncthreads();
        if (!computes) keep_state(chunks);
    }
    if (!to || !computes) return;
#pragma unroll
    for (int round = 0; round < rounds; round++) {
        const int m = warp * 16 + round * 64 + line;
        if (m >= K) continue;
#pragma unroll
        for (int n = 0; n < slice / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                to[(head * K + m + i / 2 * 8) * V + column + n * 8 + pair + i % 2] = sum[round][n][i];
            }
        }
    }
}
