// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2) over all tensors at once, after clipping the norm
// of all gradients together (Pascanu et al. 2013, arXiv 1211.5063). What changes from step to step is in device
// memory, so that a CUDA graph of a step can be replayed.
//
// Tensors are cut into chunks of 65536 elements; a block takes one: grid chunks, block 256. Run in this order:
// gradient_squares, where several GPUs share the tensors gradient_sum, gradient_norm, adam_w.
#include "eight.cuh"

/// One tensor, as Swift lays it out: 64 bytes.
struct TrainedTensor {
    float* parameter;
    const float* gradient;
    float* first;
    float* second;
    bf16* copy;  // of the parameter; or null
    int64_t count;
    float rate_scale;  // of the learning rate
    float weight_decay;
    int64_t counts;  // 1 where the gradient is part of the norm, 0 where another GPU has the same
};

/// A part of a tensor: elements from 65536 · index on.
struct TensorChunk {
    int32_t tensor, index;
};
constexpr int64_t chunk_elements = 65536;

struct StepInput {
    float learning_rate;
    float first_correction, second_correction;  // 1 - beta1ᵗ, 1 - beta2ᵗ
    float clip;                                 // the largest norm; 0 for any
    float scale;                                // what gradients are multiplied with
};

struct StepOutcome {
    float norm;        // of the scaled gradient, before clipping; unless it is finite nothing is changed
    float factor;      // what gradients are multiplied with, to scale and to clip
    int32_t unfinite;  // the first tensor whose gradient is not finite, or -1
};

__device__ inline bool is_finite(float x) { return fabsf(x) < INFINITY_F; }

/// parts[chunk] = Σ gradient². Beyond float32's range a sum counts as not finite.
__global__ void __launch_bounds__(256) gradient_squares(
    const TrainedTensor* tensors, const TensorChunk* chunks, float* parts) {
    const TensorChunk chunk = chunks[blockIdx.x];
    const TrainedTensor tensor = tensors[chunk.tensor];
    const int64_t first = chunk.index * chunk_elements, last = min(first + chunk_elements, tensor.count);
    float sum = 0.0f;
    for (int64_t i = first + threadIdx.x * 8; i < last; i += blockDim.x * 8) {
        const Eight g = load_eight(tensor.gradient + i, last - i, true);
        for (int k = 0; k < 8; k++) sum += g[k] * g[k];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/// The sum of the parts of `count` chunks that count. Grid 1, block 1024.
__global__ void __launch_bounds__(1024) gradient_sum(
    const TrainedTensor* tensors, const TensorChunk* chunks, const float* parts, int32_t count, float* result) {
    float sum = 0.0f;
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        if (tensors[chunks[i].tensor].counts) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *result = sum;
}

/// The outcome from the parts of `count` chunks, which are in the order of their tensors, and from `squares`, the sum over all
/// GPUs, unless it is null. Grid 1, block 1024.
__global__ void __launch_bounds__(1024) gradient_norm(
    const float* parts, const TensorChunk* chunks, int32_t count, const float* squares, const StepInput* step,
    StepOutcome* outcome) {
    float sum = 0.0f, unfinite = -INFINITY_F;  // of the first chunk that is not finite, its negative index
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        sum += parts[i];
        if (!is_finite(parts[i])) unfinite = fmaxf(unfinite, -static_cast<float>(i));
    }
    sum = block_sum(sum);
    unfinite = block_max(unfinite);
    if (threadIdx.x > 0) return;
    const float norm = sqrtf(squares ? *squares : sum) * step->scale;
    const bool clips = step->clip > 0.0f && norm > step->clip;
    outcome->norm = norm;
    outcome->factor = step->scale * (clips ? step->clip / norm : 1.0f);
    outcome->unfinite = is_finite(unfinite) ? chunks[static_cast<int>(-unfinite)].tensor : -1;
}

/// One step, which changes nothing unless all gradients and the loss are finite:
///
///     parameter -= rate · weight_decay · parameter
///     first      = beta1 · first  + (1 - beta1) · g
///     second     = beta2 · second + (1 - beta2) · g²
///     parameter -= rate · (first / first_correction) / (√(second / second_correction) + epsilon)
///
/// with rate = learning_rate · rate_scale and g = factor · gradient.
__global__ void __launch_bounds__(256) adam_w(
    const TrainedTensor* tensors, const TensorChunk* chunks, const StepInput* step, const StepOutcome* outcome,
    const float* loss, float beta1, float beta2, float epsilon) {
    if (!is_finite(outcome->norm) || !is_finite(*loss)) return;
    const TensorChunk chunk = chunks[blockIdx.x];
    const TrainedTensor tensor = tensors[chunk.tensor];
    const float rate = step->learning_rate * tensor.rate_scale, kept = 1.0f - rate * tensor.weight_decay;
    const float first_factor = rate / step->first_correction, second_factor = 1.0f / step->second_correction;
    const float factor = outcome->factor;
    auto update = [=](float gradient, float& parameter, float& mean, float& square) {
        const float g = factor * gradient;
        mean = beta1 * mean + (1.0f - beta1) * g;
        square = beta2 * square + (1.0f - beta2) * g * g;
        parameter = kept * parameter - first_factor * mean / (sqrtf(second_factor * square) + epsilon);
    };
    const int64_t first = chunk.index * chunk_elements, last = min(first + chunk_elements, tensor.count);
    const int64_t whole = last / 4 * 4;
    // Four and not eight: what a warp writes at a time is then one piece of memory.
    for (int64_t i = first + threadIdx.x * 4; i < whole; i += blockDim.x * 4) {
        float4& parameter = reinterpret_cast<float4&>(tensor.parameter[i]);
        float4& mean = reinterpret_cast<float4&>(tensor.first[i]);
        float4& square = reinterpret_cast<float4&>(tensor.second[i]);
        const float4 g = reinterpret_cast<const float4&>(tensor.gradient[i]);
        float4 p = parameter, m = mean, s = square;
        update(g.x, p.x, m.x, s.x);
        update(g.y, p.y, m.y, s.y);
        update(g.z, p.z, m.z, s.z);
        update(g.w, p.w, m.w, s.w);
        parameter = p;
        mean = m;
        square = s;
        if (tensor.copy) {
            reinterpret_cast<uint2&>(tensor.copy[i]) = make_uint2(pack_bf16(p.x, p.y), pack_bf16(p.z, p.w));
        }
    }
    const int64_t i = whole + threadIdx.x;
    if (i >= last) return;
    update(tensor.gradient[i], tensor.parameter[i], tensor.first[i], tensor.second[i]);
    if (tensor.copy) tensor.copy[i] = to_bf16(tensor.parameter[i]);
}
