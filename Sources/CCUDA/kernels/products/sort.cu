// A stable radix sort in one block, for the ids of a batch: four bits a pass, with a count for each digit and thread.
#include "device.cuh"

constexpr int sort_threads = 1024;
constexpr int sort_digits = 16;

/// Turns the counts (16, 1024) into the sums of all counts before each. Each warp takes 512 of them.
__device__ inline void sum_counts_before(int32_t* counts) {
    __shared__ int32_t totals[32];
    constexpr int share = sort_digits * sort_threads / 32;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int32_t* own = counts + warp * share;
    int32_t total = 0;
    for (int i = lane; i < share; i += 32) total += own[i];
    for (int mask = 16; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
    if (lane == 0) totals[warp] = total;
    __syncthreads();
    int32_t before = 0;
    for (int other = 0; other < warp; other++) before += totals[other];
    for (int i = lane; i < share; i += 32) {
        const int32_t count = own[i];
        int32_t through = count, round = count;
        for (int delta = 1; delta < 32; delta *= 2) {
            const int32_t below = shuffle_up(through, delta);
            if (lane >= delta) through += below;
        }
        for (int mask = 16; mask > 0; mask /= 2) round += shuffle_xor(round, mask);
        own[i] = before + through - count;
        before += round;
    }
}

/// sorted (count) = ids in ascending order, those from 0 to 2^bits - 1; order[i] = the place among `ids` of
/// sorted[i], equal ones in the order of their places. scratch (2 · count). Grid 1, block 1024, shared memory 65536
/// bytes.
__global__ void __launch_bounds__(sort_threads) sort_ids(
    const int32_t* ids, int32_t* sorted, int32_t* order, int32_t* scratch, int32_t count, int32_t bits) {
    SHARED_MEMORY(shared);
    int32_t* counts = reinterpret_cast<int32_t*>(shared);
    int32_t* own = counts + threadIdx.x;  // of digit d: own[d · 1024]
    const int each = (count + sort_threads - 1) / sort_threads;
    const int first = min(static_cast<int>(threadIdx.x) * each, count), last = min(first + each, count);
    const int passes = max((bits + 3) / 4, 1);
    for (int pass = 0; pass < passes; pass++) {
        // Passes alternate between two places such that the last ends in `sorted`.
        const bool ends_in_sorted = (passes - pass) % 2 == 1;
        int32_t* keys_out = ends_in_sorted ? sorted : scratch;
        int32_t* places_out = ends_in_sorted ? order : scratch + count;
        const int32_t* keys = pass == 0 ? ids : ends_in_sorted ? scratch : sorted;
        const int32_t* places = ends_in_sorted ? scratch + count : order;
        for (int digit = 0; digit < sort_digits; digit++) own[digit * sort_threads] = 0;
        for (int i = first; i < last; i++) own[(keys[i] >> 4 * pass & 15) * sort_threads]++;
        __syncthreads();
        sum_counts_before(counts);
        __syncthreads();
        for (int i = first; i < last; i++) {
            const int32_t key = keys[i], to = own[(key >> 4 * pass & 15) * sort_threads]++;
            keys_out[to] = key;
            places_out[to] = pass == 0 ? i : places[i];
        }
        __syncthreads();
    }
}
