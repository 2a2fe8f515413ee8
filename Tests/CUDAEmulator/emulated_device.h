// The device side of the emulator: CUDA's names for what device.cuh and the kernels use.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <algorithm>

#include "device.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(n) alignas(n)
#define __ldg(pointer) (*(pointer))
#define INFINITY_F INFINITY
#ifdef MOULT_EMULATED_TEXT
#define SHARED_MEMORY(name) unsigned char* name = *moult_emulator::device->shared_memory
#else
#define SHARED_MEMORY(name) unsigned char* name = moult_emulator::shared_memory
#endif

struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

#ifdef MOULT_EMULATED_TEXT
#include "compiled_text.h"
#else
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace moult_emulator {
extern unsigned char* shared_memory;
/// Waits for all live threads of the block, or of the warp.
void block_barrier();
void warp_barrier();
/// Waits for the first `threads` threads of the block.
void part_barrier(int threads);
/// 64 bytes that lane `lane` of this thread's warp shows the others in the collective in hand.
uint32_t* exchange(int lane);
/// Begins a collective: the place for this thread's own arguments.
uint32_t* begin_collective();
int lane();
}
#endif

using std::max;
using std::min;
inline float __uint_as_float(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
inline uint32_t __float_as_uint(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
inline float __int_as_float(int bits) { return __uint_as_float(static_cast<uint32_t>(bits)); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline int __popcll(uint64_t bits) { return __builtin_popcountll(bits); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline void __syncthreads() { moult_emulator::block_barrier(); }
#ifndef MOULT_EMULATED_TEXT
template <int threads> inline void sync_first() { moult_emulator::part_barrier(threads); }
#endif
inline void sync_warp() { moult_emulator::warp_barrier(); }
inline float exp_fast(float x) { return expf(x); }
inline float exp2_fast(float x) { return exp2f(x); }

inline uint32_t round_bf16(float x) {
    uint32_t bits = __float_as_uint(x);
    if (x != x) return (bits >> 16) | 0x40;
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
}
inline uint32_t pack_bf16(float low, float high) { return round_bf16(low) | (round_bf16(high) << 16); }

inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    uint32_t* own = moult_emulator::begin_collective();
    for (int i = 0; i < 4; i++) own[i] = a[i];
    for (int i = 0; i < 2; i++) own[4 + i] = b[i];
    moult_emulator::warp_barrier();
    int group = moult_emulator::lane() / 4, pair = moult_emulator::lane() % 4;
    auto half = [](uint32_t word, int index) { return __uint_as_float(index ? word & 0xffff0000u : word << 16); };
    for (int i = 0; i < 4; i++) {
        int row = group + (i / 2) * 8, column = pair * 2 + i % 2;
        float sum = d[i];
        for (int k = 0; k < 16; k++) {
            uint32_t x = moult_emulator::exchange(row % 8 * 4 + k % 8 / 2)[row / 8 + k / 8 * 2];
            uint32_t y = moult_emulator::exchange(column * 4 + k % 8 / 2)[4 + k / 8];
            sum += half(x, k % 2) * half(y, k % 2);
        }
        d[i] = sum;
    }
}

inline void emulated_load_matrix(uint32_t (&r)[4], const void* row, bool transposed) {
    uint32_t* own = moult_emulator::begin_collective();
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) __builtin_trap();
    memcpy(own, row, 16);
    moult_emulator::warp_barrier();
    int major = moult_emulator::lane() / 4, pair = moult_emulator::lane() % 4 * 2;
    for (int i = 0; i < 4; i++) {
        auto element = [i](int row, int column) -> uint32_t {
            return moult_emulator::exchange(i * 8 + row)[column / 2] >> (column % 2 * 16) & 0xffff;
        };
        r[i] = transposed ? element(pair, major) | element(pair + 1, major) << 16
                          : element(major, pair) | element(major, pair + 1) << 16;
    }
}
inline void load_matrix_x4(uint32_t (&r)[4], const void* row) { emulated_load_matrix(r, row, false); }
inline void load_matrix_x4_transposed(uint32_t (&r)[4], const void* row) { emulated_load_matrix(r, row, true); }

inline void store_16_bytes(void* place, uint4 x) { *reinterpret_cast<uint4*>(place) = x; }

inline void copy_async(void* shared, const void* global, bool valid) {
    if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) __builtin_trap();
    if (reinterpret_cast<uintptr_t>(global) % 16 != 0 && valid) __builtin_trap();
    if (valid) memcpy(shared, global, 16); else memset(shared, 0, 16);
}
inline void copy_async_float(float* shared, const float* global, bool valid) { *shared = valid ? *global : 0.0f; }
inline void copy_async_commit() {}
template <int pending> inline void copy_async_wait() {}

inline float emulated_shuffle(float x, int source) {
    moult_emulator::begin_collective()[0] = __float_as_uint(x);
    moult_emulator::warp_barrier();
    return __uint_as_float(moult_emulator::exchange(source)[0]);
}
inline float shuffle_xor(float x, int mask) { return emulated_shuffle(x, moult_emulator::lane() ^ mask); }
inline float shuffle(float x, int lane) { return emulated_shuffle(x, lane); }
inline float shuffle_up(float x, int delta) {
    return emulated_shuffle(x, moult_emulator::lane() < delta ? moult_emulator::lane() : moult_emulator::lane() - delta);
}
