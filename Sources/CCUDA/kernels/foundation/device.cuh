// What the kernels use beside plain CUDA C++: bfloat16, tensor-core products, copies to shared memory, warp sums. Written
// out here because kernels are compiled where no CUDA headers are installed. The tests compile the same kernels for the
// CPU, with the warp operations of Tests/CUDAEmulator in the place of the instructions below.
#pragma once

#ifdef MOULT_EMULATED
#include "emulated_device.h"
#else
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef int int32_t;
typedef long long int64_t;

#define INFINITY_F __int_as_float(0x7f800000)
/// Dynamic shared memory, aligned for 16-byte copies.
#define SHARED_MEMORY(name) extern __shared__ __align__(128) unsigned char name[]
#endif

/// A bfloat16 in memory: the upper half of a float32.
struct bf16 { unsigned short bits; };

#ifndef MOULT_EMULATED
/// Two floats rounded to nearest even, `low` in the lower half: the operands' order of tensor-core fragments.
__device__ inline uint32_t pack_bf16(float low, float high) {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ inline float exp_fast(float x) { return __expf(x); }
/// 2ˣ in one instruction; 0 for -infinity.
__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/// d += a · b: one warp, a (16, 16) row-major, b (16, 8) column-major, bfloat16; d (16, 8) float32. Lane l holds, with
/// g = l / 4 and p = 2 (l % 4): d[0..1] row g columns p, p+1; d[2..3] row g+8; a[0] row g, k = p, p+1; a[1] row g+8;
/// a[2], a[3] the same with k + 8; b[0] k = p, p+1 of column g; b[1] k + 8. (PTX ISA, mma.m16n8k16.)
__device__ inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Four 8×8 matrices of 16-bit elements from shared memory: lane l gives the address of row l % 8 (16 bytes, aligned) of
/// matrix l / 8; r[i] receives of matrix i row l / 4, columns 2 (l % 4) and the next.
__device__ inline void load_matrix_x4(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

/// The same with every matrix transposed: r[i] receives rows 2 (l % 4) and the next of column l / 4.
__device__ inline void load_matrix_x4_transposed(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

/// Stores 16 bytes, aligned, to device memory at once. A plain uint4 that was computed in parts may be stored in parts, each
/// of which then costs as much as the whole.
__device__ inline void store_16_bytes(void* place, uint4 x) {
    asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" :: "l"(place), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w) : "memory");
}

/// Copies 16 bytes to shared memory without waiting; zeros where not `valid` (`global` must still be a valid address).
__device__ inline void copy_async(void* shared, const void* global, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(shared_address(shared)), "l"(global), "r"(valid ? 16 : 0) : "memory");
}
/// The same for one float, 4-byte aligned.
__device__ inline void copy_async_float(float* shared, const float* global, bool valid) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 :: "r"(shared_address(shared)), "l"(global), "r"(valid ? 4 : 0) : "memory");
}
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `pending` of this thread's committed groups are under way. A barrier must follow.
template <int pending> __device__ inline void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" :: "n"(pending) : "memory");
}

__device__ inline float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
__device__ inline float shuffle(float x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }
/// The value of the lane `delta` below; one's own where there is none.
__device__ inline float shuffle_up(float x, int delta) { return __shfl_up_sync(0xffffffffu, x, delta); }
__device__ inline void sync_warp() { __syncwarp(); }
/// A barrier of the block's first `threads` threads alone, whole warps.
template <int threads> __device__ inline void sync_first() { asm volatile("bar.sync 1, %0;" :: "n"(threads) : "memory"); }
#endif

__device__ inline float to_float(bf16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }
__device__ inline float to_float(float x) { return x; }
__device__ inline bf16 to_bf16(float x) { return bf16{static_cast<unsigned short>(pack_bf16(x, 0.0f) & 0xffffu)}; }
/// The two halves of a packed pair.
__device__ inline float low_float(uint32_t packed) { return __uint_as_float(packed << 16); }
__device__ inline float high_float(uint32_t packed) { return __uint_as_float(packed & 0xffff0000u); }
/// sum + x · y, of eight bfloat16 each.
__device__ inline float add_dot(float sum, uint4 x, uint4 y) {
    sum += low_float(x.x) * low_float(y.x) + high_float(x.x) * high_float(y.x);
    sum += low_float(x.y) * low_float(y.y) + high_float(x.y) * high_float(y.y);
    sum += low_float(x.z) * low_float(y.z) + high_float(x.z) * high_float(y.z);
    sum += low_float(x.w) * low_float(y.w) + high_float(x.w) * high_float(y.w);
    return sum;
}

__device__ inline int32_t shuffle_xor(int32_t x, int mask) {
    return static_cast<int32_t>(__float_as_uint(shuffle_xor(__uint_as_float(static_cast<uint32_t>(x)), mask)));
}
__device__ inline int32_t shuffle_up(int32_t x, int delta) {
    return static_cast<int32_t>(__float_as_uint(shuffle_up(__uint_as_float(static_cast<uint32_t>(x)), delta)));
}

/// cap · tanh(x / cap), as some models have their scores and logits.
__device__ inline float capped(float x, float cap) {
    return cap - __fdividef(2.0f * cap, 1.0f + exp_fast(2.0f * x / cap));
}
/// The slope of `capped` where it gave y; 0 for -infinity, which stands for what is not seen.
__device__ inline float cap_slope(float y, float cap) {
    const float part = fmaxf(y, -cap) / cap;
    return 1.0f - part * part;
}

/// The sum over a warp, in every lane.
__device__ inline float warp_sum(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
    return x;
}
__device__ inline float warp_max(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x = fmaxf(x, shuffle_xor(x, mask));
    return x;
}
/// The sum over a block of at most 1024 threads, in every thread; all must call it, from a whole number of warps.
__device__ inline float block_sum(float x) {
    __shared__ float parts[32];
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; warp++) sum += parts[warp];
    return sum;
}
__device__ inline float block_max(float x) {
    __shared__ float parts[32];
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float largest = parts[0];
    for (int warp = 1; warp < static_cast<int>(blockDim.x) / 32; warp++) largest = fmaxf(largest, parts[warp]);
    return largest;
}
