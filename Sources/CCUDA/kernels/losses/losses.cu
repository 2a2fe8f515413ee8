// Losses of rows of logits (R, O), which become their own gradient in place, as in Liger (Hsu et al. 2024, arXiv
// 2410.10989). A block a row: grid R. `cached` keeps the row in shared memory, so that it is read once; it needs O a
// multiple of 8, and shared memory for 2 · O bytes (4 · O for the divergence's two rows) beside 256 static ones. Else
// the row is read again.
#include "eight.cuh"

/// The largest of some values, and Σ exp(value - largest).
struct SoftmaxSum {
    float largest = -INFINITY_F, sum = 0.0f;

    /// Rescales the sum to a new largest value; returns the factor, 0 at first.
    __device__ float raise(float value) {
        if (!(value > largest)) return 1.0f;
        const float factor = exp_fast(largest - value);
        sum *= factor;
        largest = value;
        return factor;
    }
    /// The sum over a block.
    __device__ void join() {
        const float most = block_max(largest);
        raise(most);
        sum = block_sum(sum);
    }
    __device__ float log_sum() const { return largest + logf(sum); }
};

__device__ inline float largest_of(const Eight& x) {
    return fmaxf(fmaxf(fmaxf(x[0], x[1]), fmaxf(x[2], x[3])), fmaxf(fmaxf(x[4], x[5]), fmaxf(x[6], x[7])));
}

/// A row that a block reads eight elements a thread and round, each thread its own; capped where `has_cap` and `cap` is not 0.
template <bool has_cap> struct LogitRow {
    const bf16* values;
    int outputs;
    float cap;

    __device__ Eight load(int at) const {
        Eight x = load_eight(values + at, outputs - at, outputs % 8 == 0, -INFINITY_F);
        if constexpr (has_cap) {
            for (int k = 0; k < 8; k++) {
                if (at + k < outputs) x[k] = one(x[k]);
            }
        }
        return x;
    }
    /// What a logit in memory stands for.
    __device__ float one(float x) const {
        if constexpr (has_cap) return cap > 0.0f ? capped(x, cap) : x;
        else return x;
    }
    /// How that changes with the logit in memory.
    __device__ float slope(float x) const { return cap > 0.0f ? cap_slope(x, cap) : 1.0f; }
    /// Begins to copy the thread's elements to `cache`, which then takes the row's place.
    __device__ void cache_in(bf16* cache) {
        for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) copy_async(cache + at, values + at, true);
        copy_async_commit();
        values = cache;
    }
};

template <bool has_cap> __device__ inline SoftmaxSum softmax_sum(const LogitRow<has_cap>& row) {
    SoftmaxSum softmax;
    for (int at = threadIdx.x * 8; at < row.outputs; at += blockDim.x * 8) {
        const Eight x = row.load(at);
        softmax.raise(largest_of(x));
        for (int k = 0; k < 8; k++) softmax.sum += exp_fast(x[k] - softmax.largest);
    }
    softmax.join();
    return softmax;
}

/// losses (R) = -log softmax(logits)[target], in nats; 0 where the target is -1. With `has_cap`, here and below, logits are
/// cap · tanh(logit / cap). Block 512, no shared memory.
template <bool has_cap> __global__ void __launch_bounds__(512) negative_log_likelihood(
    const bf16* logits, const int32_t* targets, float* losses, int32_t outputs, float cap) {
    const LogitRow<has_cap> row = {logits + static_cast<int64_t>(blockIdx.x) * outputs, outputs, cap};
    const int target = targets[blockIdx.x];
    const float loss = target < 0 ? 0.0f : softmax_sum(row).log_sum() - row.one(to_float(row.values[target]));
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}

/// The same losses times weights (R), and logits = scale · *device_scale · weight · (softmax(logits) - one-hot(target)),
/// zeros where the target is -1. `device_scale` and `weights` may be null for 1. Block 512, shared memory 2 · O bytes where `cached`.
template <bool has_cap> __global__ void __launch_bounds__(512, 2) cross_entropy(
    bf16* logits, const int32_t* targets, float* losses, float scale, const float* device_scale, const float* weights,
    int32_t outputs, bool cached, float cap) {
    SHARED_MEMORY(shared);
    bf16* out = logits + static_cast<int64_t>(blockIdx.x) * outputs;
    const int target = targets[blockIdx.x];
    const bool aligned = outputs % 8 == 0;
    if (target < 0) {
        for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) {
            store_eight(out + at, {}, outputs - at, aligned);
        }
        if (threadIdx.x == 0) losses[blockIdx.x] = 0.0f;
        return;
    }
    LogitRow<has_cap> row = {out, outputs, cap};
    const float picked = row.one(to_float(out[target]));
    if (cached) row.cache_in(reinterpret_cast<bf16*>(shared));
    copy_async_wait<0>();
    const SoftmaxSum softmax = softmax_sum(row);
    const float weight = weights ? weights[blockIdx.x] : 1.0f;
    if (threadIdx.x == 0) losses[blockIdx.x] = weight * (softmax.log_sum() - picked);
    scale *= weight;
    if (device_scale) scale *= *device_scale;
    const float factor = scale / softmax.sum;
    for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) {
        Eight x = row.load(at);
        for (int k = 0; k < 8; k++) {
            const float slope = has_cap ? row.slope(x[k]) : 1.0f;
            x[k] = factor * exp_fast(x[k] - softmax.largest) - (at + k == target ? scale : 0.0f);
            if constexpr (has_cap) x[k] *= slope;
        }
        store_eight(out + at, x, outputs - at, aligned);
    }
}

/// losses (R) = weight · Σ p (log p - log q) with p = softmax(teacher), q = softmax(logits), and logits = scale ·
/// *device_scale · weight · (q - p), with weights (R); `device_scale` and `weights` may be null for 1. Block 1024, shared
/// memory 4 · O bytes where `cached`.
template <bool has_cap> __global__ void __launch_bounds__(1024) divergence(
    bf16* logits, const bf16* teacher_logits, float* losses, float scale, const float* device_scale,
    const float* weights, int32_t outputs, bool cached, float cap, float teacher_cap) {
    SHARED_MEMORY(shared);
    const int64_t first = static_cast<int64_t>(blockIdx.x) * outputs;
    LogitRow<has_cap> student_row = {logits + first, outputs, cap};
    LogitRow<has_cap> teacher_row = {teacher_logits + first, outputs, teacher_cap};
    if (cached) {
        student_row.cache_in(reinterpret_cast<bf16*>(shared));
        teacher_row.cache_in(reinterpret_cast<bf16*>(shared) + outputs);
    }
    copy_async_wait<0>();
    SoftmaxSum student, teacher;
    float difference = 0.0f;  // Σ exp(teacher - teacher.largest) · (teacher - student)
    for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) {
        const Eight x = student_row.load(at), t = teacher_row.load(at);
        student.raise(largest_of(x));
        difference *= teacher.raise(largest_of(t));
        for (int k = 0; k < 8; k++) {
            if (at + k >= outputs) break;
            const float weight = exp_fast(t[k] - teacher.largest);
            student.sum += exp_fast(x[k] - student.largest);
            teacher.sum += weight;
            difference += weight * (t[k] - x[k]);
        }
    }
    const float own_largest = teacher.largest;
    student.join();
    teacher.join();
    difference = block_sum(difference * exp_fast(own_largest - teacher.largest));
    const float weight = weights ? weights[blockIdx.x] : 1.0f;
    if (threadIdx.x == 0) {
        losses[blockIdx.x] = weight * (difference / teacher.sum - teacher.log_sum() + student.log_sum());
    }
    scale *= weight;
    if (device_scale) scale *= *device_scale;
    const float factor = scale / student.sum, teacher_factor = scale / teacher.sum;
    for (int at = threadIdx.x * 8; at < outputs; at += blockDim.x * 8) {
        Eight x = student_row.load(at);
        const Eight t = teacher_row.load(at);
        for (int k = 0; k < 8; k++) {
            const float slope = has_cap ? student_row.slope(x[k]) : 1.0f;
            x[k] = factor * exp_fast(x[k] - student.largest) - teacher_factor * exp_fast(t[k] - teacher.largest);
            if constexpr (has_cap) x[k] *= slope;
        }
        store_eight(logits + first + at, x, outputs - at, outputs % 8 == 0);
    }
}

/// out = scale · Σ x over `count` values, in a fixed order. Grid 1, block 1024.
__global__ void __launch_bounds__(1024) sum_values(const float* x, int64_t count, float scale, float* out) {
    float sum = 0.0f;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += x[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = scale * sum;
}
