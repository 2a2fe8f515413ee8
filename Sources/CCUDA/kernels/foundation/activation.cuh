// Activations of one element.
#pragma once
#include "eight.cuh"

// An activation is act(x) = x · s with a share s between 0 and 1: a type with the share, and the slope of x · s.

/// x · sigmoid(x).
struct Silu {
    __device__ static float share(float x) { return sigmoid(x); }
    __device__ static float slope(float x, float s) { return s * (1.0f + x * (1.0f - s)); }
};

/// x · Φ(x) with the normal distribution's Φ.
struct Gelu {
    __device__ static float share(float x) { return 0.5f * erfcf(x * -0.707106781f); }
    __device__ static float slope(float x, float s) { return s + x * 0.398942280f * expf(-0.5f * x * x); }
};

/// x · sigmoid(2u) with u = sqrt(2 / π) · (x + 0.044715 · x³).
struct GeluTanh {
    /// Beyond it, sigmoid(2u) and its slope are those of 0 and 1, and the cube of x stays finite. NaN stays.
    __device__ static float reach(float x) { return x < -12.0f ? -12.0f : x > 12.0f ? 12.0f : x; }
    __device__ static float share(float x) {
        const float y = reach(x);
        return sigmoid(y * (1.59576912f + 0.07135481f * y * y));
    }
    __device__ static float slope(float x, float s) {
        const float y = reach(x);
        return s * (1.0f + y * (1.59576912f + 3.0f * 0.07135481f * y * y) * (1.0f - s));
    }
};
