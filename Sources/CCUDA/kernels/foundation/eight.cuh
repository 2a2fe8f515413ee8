// Eight consecutive elements in a thread's registers: the unit of the kernels that are bound by memory, 16 bytes of
// bfloat16.
#pragma once
#include "device.cuh"

struct Eight {
    float at[8];
    __device__ float& operator[](int i) { return at[i]; }
    __device__ float operator[](int i) const { return at[i]; }
};

__device__ inline Eight load_vector(const bf16* p) {
    const uint4 packed = *reinterpret_cast<const uint4*>(p);
    return {low_float(packed.x), high_float(packed.x), low_float(packed.y), high_float(packed.y),
            low_float(packed.z), high_float(packed.z), low_float(packed.w), high_float(packed.w)};
}
__device__ inline Eight load_vector(const float* p) {
    const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    return {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
}
__device__ inline void store_vector(bf16* p, const Eight& x) {
    *reinterpret_cast<uint4*>(p) =
        make_uint4(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7]));
}
__device__ inline void store_vector(float* p, const Eight& x) {
    reinterpret_cast<float4*>(p)[0] = make_float4(x[0], x[1], x[2], x[3]);
    reinterpret_cast<float4*>(p)[1] = make_float4(x[4], x[5], x[6], x[7]);
}
__device__ inline void store_one(bf16* p, float x) { *p = to_bf16(x); }
__device__ inline void store_one(float* p, float x) { *p = x; }

/// The elements at `p`, of which `left` are there; `beyond` in the place of the rest. `aligned` says that p lies at a
/// multiple of 16 bytes: rows do where their length is a multiple of 8, whole tensors always.
template <typename T> __device__ inline Eight load_eight(const T* p, int64_t left, bool aligned, float beyond = 0.0f) {
    if (aligned && left >= 8) return load_vector(p);
    Eight x;
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = i < left ? to_float(p[i]) : beyond;
    return x;
}
template <typename T> __device__ inline void store_eight(T* p, const Eight& x, int64_t left, bool aligned) {
    if (aligned && left >= 8) return store_vector(p, x);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        if (i < left) store_one(p + i, x[i]);
    }
}

/// The first of the elements that are this thread's in a kernel over a whole tensor: 8 a thread, in a one-dimensional
/// grid.
__device__ inline int64_t first_of_eight() {
    return (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
}

__device__ inline float sigmoid(float x) { return __fdividef(1.0f, 1.0f + exp_fast(-x)); }
/// ln sigmoid(x), finite for every finite x, by the exact functions.
__device__ inline float log_sigmoid(float x) { return fminf(x, 0.0f) - log1pf(expf(-fabsf(x))); }
