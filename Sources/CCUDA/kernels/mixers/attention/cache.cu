// A cache of the first `sinks` and the last W - sinks keys or values of each of R sequences, (R, N, W, K); see ring.cuh.
#include "eight.cuh"
#include "ring.cuh"

// A thread moves eight elements: grid ceil(R · tokens · N · ceil(K / 8) / 256), block 256. `position` is that of the first
// new token.

/// Those of the T rows x (R, T, N, K) that the cache then holds: the sinks among them, and the last of the others.
__global__ void cache_write(
    const bf16* x, bf16* cache, int32_t rows, int32_t tokens, int32_t heads, int32_t dim, int32_t capacity,
    int32_t sinks, int64_t position) {
    const int32_t first = position < sinks ? min(sinks - static_cast<int32_t>(position), tokens) : 0;   // that are sinks
    const int32_t parts = (dim + 7) / 8, kept = first + min(tokens - first, capacity - sinks);
    const int64_t unit = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int32_t column = unit % parts * 8, head = unit / parts % heads;
    const int64_t row = unit / parts / heads / kept, index = unit / parts / heads % kept;
    const int64_t token = index < first ? index : index + tokens - kept;
    if (row >= rows) return;
    const bool aligned = dim % 8 == 0;
    const Eight value = load_eight(x + ((row * tokens + token) * heads + head) * dim + column, dim - column, aligned);
    const int64_t place = ring_place(position + token, capacity, sinks);
    store_eight(
        cache + ((row * heads + head) * capacity + place) * dim + column, value, dim - column, aligned);
}

/// out (R, past + T, N, K) = `past` positions of the cache, the sinks and then the last of the others, then x (R, T, N, K).
__global__ void cache_read(
    const bf16* cache, const bf16* x, bf16* out, int32_t rows, int32_t past, int32_t tokens, int32_t heads,
    int32_t dim, int32_t capacity, int32_t sinks, int64_t position) {
    const int32_t parts = (dim + 7) / 8, all = past + tokens;
    const int64_t unit = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const int32_t column = unit % parts * 8, head = unit / parts % heads;
    const int64_t row = unit / parts / heads / all, token = unit / parts / heads % all;
    if (row >= rows) return;
    const bool aligned = dim % 8 == 0;
    const bf16* from = token < past
        ? cache + ((row * heads + head) * capacity
                   + ring_place(token < sinks ? token : position - past + token, capacity, sinks)) * dim
        : x + ((row * tokens + token - past) * heads + head) * dim;
    store_eight(
        out + ((row * all + token) * heads + head) * dim + column,
        load_eight(from + column, dim - column, aligned), dim - column, aligned);
}
