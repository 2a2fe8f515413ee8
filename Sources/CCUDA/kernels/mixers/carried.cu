// What rows of T tokens take over from those before them: P places with some of the tokens that stood there, (B, P, width),
// before the row's own, (B, T, width). Of a row's first document `counts` (B) tokens stood before; where they are fewer than
// P, the first places hold nothing.
#include "eight.cuh"

/// starts (B, P + T): the first place of each place's document, from `first` (B, T), that of each token's within its row.
/// Places that hold nothing are documents of their own. Grid ceil(B · (P + T) / 256), block 256.
__global__ void carried_starts(
    const int32_t* first, const int32_t* counts, int32_t* starts, int32_t rows, int32_t past, int32_t tokens) {
    const int64_t unit = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int32_t all = past + tokens, place = unit % all;
    const int64_t row = unit / all;
    if (row >= rows) return;
    const int32_t begin = past - min(counts[row], past);
    const int32_t own = place < past ? 0 : first[row * tokens + place - past];
    starts[unit] = place < past ? min(place, begin) : own == 0 && counts[row] > 0 ? begin : past + own;
}

/// out (B, count, width) = the places from `from` on, zeros for those that hold nothing; with `starts` (B, P + T) in the first
/// `sinks` the first places of the row's last document, if that has more than `count`. `counts` may be null where P = 0.
/// A thread moves eight elements: grid ceil(B · count · ceil(width / 8) / 256), block 256.
__global__ void carried_rows(
    const bf16* past, const bf16* x, const int32_t* counts, const int32_t* starts, bf16* out, int32_t rows,
    int32_t places, int32_t tokens, int32_t count, int32_t width, int32_t from, int32_t sinks) {
    const int32_t parts = (width + 7) / 8, all = places + tokens;
    const int64_t unit = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int32_t column = unit % parts * 8, place = unit / parts % count;
    const int64_t row = unit / parts / count;
    if (row >= rows) return;
    int32_t source = place + from;
    if (starts && place < sinks) {
        const int32_t begin = starts[(row + 1) * all - 1];
        if (all - begin > count) source = begin + place;
    }
    const bool aligned = width % 8 == 0, is_past = source < places;
    Eight value = {};
    if (!is_past || counts[row] >= places - source) {
        const bf16* rows_of = is_past ? past + (row * places + source) * width : x + (row * tokens + source - places) * width;
        value = load_eight(rows_of + column, width - column, aligned);
    }
    store_eight(out + (row * count + place) * width + column, value, width - column, aligned);
}

/// out (B, width) = x, zeros in rows whose first document begins with them. Grid (ceil(width / 256), B), block 256.
__global__ void carried_states(const float* x, const int32_t* counts, float* out, int32_t width) {
    const int32_t column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    const int64_t at = static_cast<int64_t>(blockIdx.y) * width + column;
    out[at] = counts[blockIdx.y] > 0 ? x[at] : 0.0f;
}
