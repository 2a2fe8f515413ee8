// Rows of a table picked by ids, and the gradient of that table.
#include "eight.cuh"

/// out (count, D) = rows `ids` (count) of table (R, D). A warp a row: grid ceil(count / 8), block (32, 8).
template <typename T> __global__ void gather_rows(
    const int32_t* ids, const T* table, bf16* out, int32_t count, int32_t dim) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
    if (row >= count) return;
    const T* from = table + static_cast<int64_t>(ids[row]) * dim;
    for (int column = threadIdx.x * 8; column < dim; column += 256) {
        const bool aligned = dim % 8 == 0;
        store_eight(out + row * dim + column, load_eight(from + column, dim - column, aligned), dim - column, aligned);
    }
}

// The gradient of the table adds row i of the gradient (count, D) to row ids[i] of `table` (R, D). Ids of text repeat
// a lot, so what is shared out evenly is not rows of the table but chunks of the sorted ids. A chunk's runs of one id
// are summed; a run that is whole within its chunk goes to the table, and parts of runs that cross chunks are kept
// for a second kernel. A table's row has one writer, and terms are added in the order of the sort.

/// Sorted ids in a chunk.
constexpr int chunk_rows = 32;

/// Adds to eight columns of a row of the table.
__device__ inline void add_to_row(float* row, const Eight& sum, int left, bool aligned) {
    Eight total = load_eight(row, left, aligned);
    for (int k = 0; k < 8; k++) total[k] += sum[k];
    store_eight(row, total, left, aligned);
}

/// Sums runs within chunks. `sorted` (count) are the ids in ascending order and `order` their places, as from
/// sort_ids. parts (chunks, 2, D) receives the chunk's part of a run begun in an earlier chunk, and else of one that
/// a later chunk goes on with. Grid chunks = ceil(count / 32), block 32 · ceil(D / 256), D ≤ 8192.
__global__ void __launch_bounds__(1024) embedding_gradient_runs(
    const bf16* gradient, const int32_t* sorted, const int32_t* order, float* table, float* parts, int32_t count,
    int32_t dim) {
    __shared__ int32_t ids[chunk_rows + 2], rows[chunk_rows];
    const int first = blockIdx.x * chunk_rows, some = min(chunk_rows, count - first);
    // ids[i + 1] is the chunk's i-th; -1 stands before the first of all and after the last.
    for (int i = threadIdx.x; i < some + 2; i += blockDim.x) {
        const int place = first + i - 1;
        ids[i] = place >= 0 && place < count ? sorted[place] : -1;
    }
    for (int i = threadIdx.x; i < some; i += blockDim.x) rows[i] = order[first + i];
    __syncthreads();

    const int column = threadIdx.x * 8, left = dim - column;
    const bool aligned = dim % 8 == 0;
    float* own = parts + static_cast<int64_t>(blockIdx.x) * 2 * dim + column;
    constexpr int batch = 4;  // loads under way at a time
    Eight values[batch], sum = {};
    for (int begin = 0; begin < some; begin += batch) {
#pragma unroll
        for (int b = 0; b < batch; b++) {
            const int i = min(begin + b, some - 1);
            values[b] = load_eight(gradient + static_cast<int64_t>(rows[i]) * dim + column, left, aligned);
        }
#pragma unroll
        for (int b = 0; b < batch; b++) {
            const int i = begin + b;
            if (i >= some) break;
            for (int k = 0; k < 8; k++) sum[k] += values[b][k];
            const int32_t id = ids[i + 1];
            if (i + 1 < some && ids[i + 2] == id) continue;
            const bool from_before = ids[1] == id && ids[0] == id, goes_on = i + 1 == some && ids[i + 2] == id;
            if (from_before) store_eight(own, sum, left, aligned);
            else if (goes_on) store_eight(own + dim, sum, left, aligned);
            else add_to_row(table + static_cast<int64_t>(id) * dim + column, sum, left, aligned);
            sum = {};
        }
    }
}

/// Adds runs that cross chunks: the block of the chunk in which such a run begins sums its parts. Grid and block as
/// above.
__global__ void __launch_bounds__(1024) embedding_gradient_joins(
    const int32_t* sorted, const float* parts, float* table, int32_t count, int32_t dim) {
    const int first = blockIdx.x * chunk_rows, column = threadIdx.x * 8, left = dim - column;
    const bool aligned = dim % 8 == 0;
    if (first + chunk_rows >= count) return;
    const int32_t id = sorted[first + chunk_rows];
    const bool begins_here = first == 0 || sorted[first - 1] != id;
    if (sorted[first + chunk_rows - 1] != id || !begins_here) return;
    const float* part = parts + (static_cast<int64_t>(blockIdx.x) * 2 + 1) * dim + column;
    Eight sum = load_eight(part, left, aligned);
    part += dim;
    for (int next = first + chunk_rows; next < count && sorted[next] == id; next += chunk_rows, part += 2 * dim) {
        const Eight more = load_eight(part, left, aligned);
        for (int k = 0; k < 8; k++) sum[k] += more[k];
    }
    add_to_row(table + static_cast<int64_t>(id) * dim + column, sum, left, aligned);
}

/// places (count) = the place in its document of each token of rows of `tokens`, of which `first` (count) is the document's
/// first place in the row. Grid ceil(count / 256), block 256.
__global__ void document_places(const int32_t* first, int32_t* places, int64_t count, int32_t tokens) {
    const int64_t place = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place < count) places[place] = static_cast<int32_t>(place % tokens) - first[place];
}
