// The choice of the next tokens, and the step to the next positions, for decoding on the GPU.
#include "eight.cuh"

/// ids (R) = the index of the largest of each row of logits (R, O), the lowest among equals. Grid R, block 1024.
template <typename T> __global__ void __launch_bounds__(1024) argmax(const T* logits, int32_t* ids, int32_t outputs) {
    __shared__ int32_t indices[32];
    const T* row = logits + static_cast<int64_t>(blockIdx.x) * outputs;
    float largest = -INFINITY_F;
    int32_t index = 0x7fffffff;
    for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) {
        const Eight x = load_eight(row + at, outputs - at, outputs % 8 == 0, -INFINITY_F);
        for (int k = 0; k < 8; k++) {
            if (!(x[k] > largest)) continue;
            largest = x[k];
            index = at + k;
        }
    }
    if (largest < block_max(largest)) index = 0x7fffffff;
    for (int mask = 16; mask > 0; mask /= 2) index = min(index, shuffle_xor(index, mask));
    if (threadIdx.x % 32 == 0) indices[threadIdx.x / 32] = index;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int warp = 1; warp < static_cast<int>(blockDim.x) / 32; warp++) index = min(index, indices[warp]);
    // Where no logit is above -∞ or all are NaN, the first.
    ids[blockIdx.x] = index < outputs ? index : 0;
}

/// Each of R sequences goes on to its next position, where `taking` (R) is 1, or stays where it is 0. Grid ceil(R / 256), block 256.
__global__ void advance(int32_t* positions, const int32_t* taking, int32_t rows) {
    const int32_t row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) positions[row] += taking[row];
}

namespace sampling {

constexpr int threads = 1024, warps = threads / 32, words = 8;

/// How the next token of a row is picked: `words` int32 words, in this order.
struct Choice {
    /// 0 takes the likeliest, and nothing below but the penalty then matters.
    float temperature;
    /// 0 for all.
    int32_t top_k;
    float top_p, min_p, penalty;
    /// Tokens that were seen lately.
    int32_t recent;
    /// The state of a SplitMix64 generator (Steele, Lea and Flood 2014) before the number that is used up.
    uint32_t random_low, random_high;
};

__device__ inline Choice choice(const int32_t* at) {
    return {__int_as_float(at[0]), at[1], __int_as_float(at[2]), __int_as_float(at[3]), __int_as_float(at[4]), at[5],
            static_cast<uint32_t>(at[6]), static_cast<uint32_t>(at[7])};
}

/// The generator's next number, in [0, 1).
__device__ inline double uniform(const Choice& choice) {
    uint64_t z = (static_cast<uint64_t>(choice.random_high) << 32 | choice.random_low) + 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * (1.0 / 9007199254740992.0);
}

/// A number that is the greater the greater x is.
__device__ inline uint32_t order(float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline float ordered(uint32_t order) {
    return __uint_as_float(order & 0x80000000u ? order & 0x7fffffffu : ~order);
}

/// Calls `body` with the places and values of the scores (outputs) that are this thread's, eight at a time.
template <typename Body> __device__ inline void each_score(const float* scores, int32_t outputs, const Body& body) {
    for (int32_t i = threadIdx.x * 8; i < outputs; i += threads * 8) {
        const Eight x = load_eight(scores + i, outputs - i, outputs % 8 == 0);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            if (i + k < outputs) body(i + k, x[k]);
        }
    }
}

/// The weight of a score, relative to that of the largest.
__device__ inline float weight(float x, float peak, float temperature) { return expf((x - peak) / temperature); }

/// The highest score from which up the scores (outputs) are `enough`: so many, or where `weighs` of so much weight; -∞ where all
/// are not. Bits are found four at a time, each by one pass that adds up what lies in each of 16 parts of what is left.
template <bool weighs> __device__ float threshold(
    const float* scores, int32_t outputs, float peak, float temperature, float enough) {
    __shared__ float parts[warps][16];
    uint32_t found = 0;
    float above = 0.0f;
    for (int shift = 28; shift >= 0; shift -= 4) {
        float sums[16] = {};
        each_score(scores, outputs, [&](int32_t, float x) {
            const uint32_t key = order(x);
            if (shift < 28 && key >> (shift + 4) != found >> (shift + 4)) return;
            const float part = weighs ? weight(x, peak, temperature) : 1.0f;
#pragma unroll
            for (int digit = 0; digit < 16; digit++) sums[digit] += (key >> shift & 15) == digit ? part : 0.0f;
        });
#pragma unroll
        for (int digit = 0; digit < 16; digit++) {
            const float sum = warp_sum(sums[digit]);
            if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32][digit] = sum;
        }
        __syncthreads();
        bool is_found = false;
        for (int digit = 15; digit >= 0 && !is_found; digit--) {
            float sum = 0.0f;
            for (int warp = 0; warp < warps; warp++) sum += parts[warp][digit];
            is_found = above + sum >= enough;
            if (is_found) found |= static_cast<uint32_t>(digit) << shift;
            else above += sum;
        }
        __syncthreads();
        // Of the parts of a part that is enough rounding may leave none that is: the lowest then.
        if (!is_found && shift == 28) return -INFINITY_F;
    }
    return ordered(found);
}

/// What the scores of begin ..< end from `least` up weigh, in each lane of a warp.
__device__ inline float mass(const float* scores, int begin, int end, float least, float peak, float temperature) {
    float sum = 0.0f;
    for (int i = begin + threadIdx.x % 32; i < end; i += 32) {
        if (scores[i] >= least) sum += weight(scores[i], peak, temperature);
    }
    return warp_sum(sum);
}

/// The first of `warps` sums in which `rest` of them is reached, the last that is not 0 where none is; `rest` is then what is
/// left within it.
__device__ inline int part_of(const float* sums, double& rest) {
    int last = 0;
    double before = 0.0;
    for (int i = 0; i < warps; i++) {
        if (sums[i] == 0.0f) continue;
        if (rest < before + sums[i]) {
            rest -= before;
            return i;
        }
        last = i;
        before += sums[i];
    }
    rest = sums[last];
    return last;
}

}  // namespace sampling

/// Picks the next tokens of R rows of logits (R, O) by `choices` (R, 8), in the order and with the meaning of the processor's:
/// repetition penalty of the tokens `recent` (R, L) (Keskar et al. 2019, arXiv 1909.05858), temperature, top-k, top-p (Holtzman et
/// al. 2020, arXiv 1904.09751), min-p (Nguyen et al. 2024, arXiv 2407.01082), where scores that are as high as the last that is
/// kept are kept too. Then the token at which a random share of what is kept is reached, by ascending ids; of the likeliest the
/// first. picked (R): the ids, or -1 for a row with a logit that is not finite; ids (R): the same with 0 for -1. `scores` (R, O)
/// is room for rows with a penalty. Grid R, block 1024.
__global__ void __launch_bounds__(1024) pick_tokens(
    const float* logits, const int32_t* choices, const int32_t* recent, int32_t length, float* scores, int32_t* picked,
    int32_t* ids, int32_t outputs) {
    using namespace sampling;
    __shared__ int32_t indices[warps];
    __shared__ float sums[warps];
    const int64_t row = blockIdx.x;
    const int thread = threadIdx.x, warp = thread / 32;
    const Choice by = choice(choices + row * words);
    const float* x = logits + row * outputs;
    if (by.penalty != 1.0f && by.recent > 0) {
        float* changed = scores + row * outputs;
        for (int i = thread; i < outputs; i += threads) changed[i] = x[i];
        __syncthreads();
        // Of the logits and not of the scores, so that a token seen twice is penalised once.
        for (int i = thread; i < by.recent; i += threads) {
            const int32_t token = recent[row * length + i];
            changed[token] = x[token] > 0.0f ? x[token] / by.penalty : x[token] * by.penalty;
        }
        __syncthreads();
        x = changed;
    }

    float peak = -INFINITY_F, taint = 0.0f;
    int32_t index = 0x7fffffff;
    each_score(x, outputs, [&](int32_t i, float score) {
        // NaN and infinities make this NaN.
        taint += score * 0.0f;
        if (!(score > peak)) return;
        peak = score;
        index = i;
    });
    const float own = peak;
    peak = block_max(peak);
    const bool is_finite = block_sum(taint) == 0.0f;
    if (own < peak) index = 0x7fffffff;
    for (int mask = 16; mask > 0; mask /= 2) index = min(index, shuffle_xor(index, mask));
    if (thread % 32 == 0) indices[warp] = index;
    __syncthreads();
    for (int i = 0; i < warps; i++) index = min(index, indices[i]);
    if (!is_finite || by.temperature <= 0.0f) {
        if (thread == 0) {
            picked[row] = is_finite ? index : -1;
            ids[row] = is_finite ? index : 0;
        }
        return;
    }

    const float temperature = by.temperature;
    float least = -INFINITY_F;
    if (by.top_k > 0 && by.top_k < outputs) least = threshold<false>(x, outputs, peak, temperature, by.top_k);
    // Each warp has a stretch of ids.
    const int stretch = (outputs + threads - 1) / threads * 32;
    const auto weigh = [&](int begin, int end, int each) {
        const int first = begin + warp * each;
        const float sum = mass(x, min(first, end), min(first + each, end), least, peak, temperature);
        __syncthreads();
        if (thread % 32 == 0) sums[warp] = sum;
        __syncthreads();
    };
    if (by.top_p < 1.0f) {
        weigh(0, outputs, stretch);
        double all = 0.0;
        for (int i = 0; i < warps; i++) all += sums[i];
        least = fmaxf(least, threshold<true>(x, outputs, peak, temperature, static_cast<float>(all * by.top_p)));
    }
    if (by.min_p > 0.0f) least = fmaxf(least, peak + temperature * logf(by.min_p));

    weigh(0, outputs, stretch);
    double all = 0.0;
    for (int i = 0; i < warps; i++) all += sums[i];
    double rest = uniform(by) * all;
    const int begin = part_of(sums, rest) * stretch, end = min(begin + stretch, outputs), each = stretch / 32;
    weigh(begin, end, each);
    const int first = begin + part_of(sums, rest) * each, last = min(first + each, end);
    if (warp > 0) return;
    index = -1;
    int32_t kept = -1;
    for (int start = first; start < last && index < 0; start += 32) {
        const int i = start + thread;
        const bool is_kept = i < last && x[i] >= least;
        const float own = is_kept ? weight(x[i], peak, temperature) : 0.0f;
        float sum = own;
        for (int delta = 1; delta < 32; delta *= 2) {
            const float before = shuffle_up(sum, delta);
            if (thread >= delta) sum += before;
        }
        int32_t reached = is_kept && rest < sum ? i : 0x7fffffff, highest = is_kept ? i : -1;
        for (int mask = 16; mask > 0; mask /= 2) {
            reached = min(reached, shuffle_xor(reached, mask));
            highest = max(highest, shuffle_xor(highest, mask));
        }
        kept = max(kept, highest);
        if (reached < 0x7fffffff) index = reached;
        rest -= shuffle(sum, 31);
    }
    // What rounding leaves is the last one's.
    if (thread == 0) picked[row] = ids[row] = index >= 0 ? index : kept;
}
