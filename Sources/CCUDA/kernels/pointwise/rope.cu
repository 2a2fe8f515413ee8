// Rotary position embedding (Su et al. 2021, arXiv 2104.09864).
#include "eight.cuh"

/// Rotates pairs (i, i + K/2) of the heads of q (B, T, H, K) and k (B, T, N, K) into q_out and k_out, which may be q
/// and k. Token t has the angles of row t of cosines and sines (rows, K/2). Where `starts` (B, T) is given, the first position
/// of each token's document, t is counted from there. With sign -1 it is turned back, which is the gradient. N = 0 rotates q
/// alone. A thread rotates eight pairs: grid ceil(B · T · (H + N) · ceil(K / 16) / block), block 256.
__global__ void rope(
    const bf16* q, const bf16* k, const float* cosines, const float* sines, const int32_t* starts, float sign,
    bf16* q_out, bf16* k_out, int32_t batch, int32_t tokens, int32_t q_heads, int32_t k_heads, int32_t dim) {
    const uint32_t half = dim / 2, parts = (half + 7) / 8, heads = q_heads + k_heads;
    const uint32_t unit = blockIdx.x * blockDim.x + threadIdx.x;
    const uint32_t token = unit / (parts * heads), head = unit / parts % heads, pair = unit % parts * 8;
    if (token >= static_cast<uint32_t>(batch) * tokens) return;
    const bool aligned = half % 8 == 0, is_query = head < static_cast<uint32_t>(q_heads);
    const int left = half - pair;
    const uint32_t row = token % tokens - (starts ? starts[token] : 0);
    const int64_t angle = static_cast<int64_t>(row) * half + pair;
    const Eight cosine = load_eight(cosines + angle, left, aligned), sine = load_eight(sines + angle, left, aligned);
    const int64_t at = is_query ? (static_cast<int64_t>(token) * q_heads + head) * dim + pair
                                : (static_cast<int64_t>(token) * k_heads + head - q_heads) * dim + pair;
    const bf16* x = (is_query ? q : k) + at;
    bf16* out = (is_query ? q_out : k_out) + at;
    const Eight a = load_eight(x, left, aligned), b = load_eight(x + half, left, aligned);
    Eight first, second;
    for (int i = 0; i < 8; i++) {
        first[i] = a[i] * cosine[i] - sign * b[i] * sine[i];
        second[i] = b[i] * cosine[i] + sign * a[i] * sine[i];
    }
    store_eight(out, first, left, aligned);
    store_eight(out + half, second, left, aligned);
}

/// cosines and sines (R, K/2) of min(position, farthest) · frequency for the positions (R) and frequencies (R, K/2) of R
/// sequences, times `factor`, and where `trained` > 0 times ln(n) / ln(trained) for a position that sees n > trained tokens,
/// `most` at most. Angles are float64: positions are many. Grid ceil(R · K/2 / 256), block 256.
__global__ void rotary_angles(
    const int32_t* positions, const float* frequencies, float* cosines, float* sines, int32_t rows, int32_t half,
    int32_t farthest, float factor, int32_t trained, int32_t most) {
    const uint32_t at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= static_cast<uint32_t>(rows) * half) return;
    const int32_t position = positions[at / half], seen = min(position, most - 1) + 1;
    double scale = factor;
    if (trained > 0 && seen > trained) scale *= log(static_cast<double>(seen)) / log(static_cast<double>(max(2, trained)));
    const double angle = static_cast<double>(min(position, farthest)) * static_cast<double>(frequencies[at]);
    cosines[at] = static_cast<float>(scale * cos(angle));
    sines[at] = static_cast<float>(scale * sin(angle));
}
