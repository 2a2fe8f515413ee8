// Portable float vectors of VECTOR_WIDTH lanes over clang's vector extensions. No include guard: each translation unit
// includes it once, with its own width, under its own target attribute.

#define INLINE static inline __attribute__((always_inline, unused))

typedef float vf __attribute__((ext_vector_type(VECTOR_WIDTH)));
typedef int32_t vi __attribute__((ext_vector_type(VECTOR_WIDTH)));
typedef uint32_t vu __attribute__((ext_vector_type(VECTOR_WIDTH)));
typedef uint16_t vh __attribute__((ext_vector_type(VECTOR_WIDTH)));

// Loops over vectors; the last may be partial.
#define EACH_VECTOR(count) \
    for (int64_t i = 0, left = (count); left > 0; i += VECTOR_WIDTH, left -= VECTOR_WIDTH)

// MARK: Loads and stores, at any alignment

INLINE vf vf_load(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }

/// The first `count` < VECTOR_WIDTH floats, the other lanes zero.
INLINE vf vf_load_part(const float *p, int64_t count) {
    float lanes[VECTOR_WIDTH] = {0};
    for (int64_t i = 0; i < count; i++) lanes[i] = p[i];
    return vf_load(lanes);
}

/// Stores the first `count` < VECTOR_WIDTH lanes.
INLINE void vf_store_part(float *p, vf v, int64_t count) {
    float lanes[VECTOR_WIDTH];
    vf_store(lanes, v);
    for (int64_t i = 0; i < count; i++) p[i] = lanes[i];
}

/// A vector, or the first `count` floats where fewer are left.
INLINE vf vf_load_up_to(const float *p, int64_t count) {
    return count >= VECTOR_WIDTH ? vf_load(p) : vf_load_part(p, count);
}

INLINE void vf_store_up_to(float *p, vf v, int64_t count) {
    if (count >= VECTOR_WIDTH) vf_store(p, v); else vf_store_part(p, v, count);
}

INLINE vh vh_load(const uint16_t *p) {
    vh v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void vh_store(uint16_t *p, vh v) { memcpy(p, &v, sizeof v); }

INLINE vh vh_load_up_to(const uint16_t *p, int64_t count) {
    if (count >= VECTOR_WIDTH) return vh_load(p);
    uint16_t lanes[VECTOR_WIDTH] = {0};
    for (int64_t i = 0; i < count; i++) lanes[i] = p[i];
    return vh_load(lanes);
}

INLINE void vh_store_up_to(uint16_t *p, vh v, int64_t count) {
    if (count >= VECTOR_WIDTH) return vh_store(p, v);
    uint16_t lanes[VECTOR_WIDTH];
    vh_store(lanes, v);
    for (int64_t i = 0; i < count; i++) p[i] = lanes[i];
}

// MARK: Arithmetic

INLINE vf vf_set(float x) { return (vf)(x); }

/// a · b + c, in one rounding where the hardware can.
INLINE vf vf_fma(vf a, vf b, vf c) {
#ifdef VECTOR_FMA
    return __builtin_elementwise_fma(a, b, c);
#else
    return a * b + c;
#endif
}

/// The larger lane; b where either is NaN.
INLINE vf vf_max(vf a, vf b) { return a > b ? a : b; }
INLINE vf vf_min(vf a, vf b) { return a < b ? a : b; }

INLINE vi vf_bits(vf x) { return (vi)x; }
INLINE vf vi_float(vi x) { return (vf)x; }
INLINE vf vf_abs(vf x) { return vi_float(vf_bits(x) & 0x7FFFFFFF); }

/// The sum of the lanes, by halves.
INLINE float vf_sum(vf v) {
    float lanes[VECTOR_WIDTH];
    vf_store(lanes, v);
    for (int half = VECTOR_WIDTH / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    }
    return lanes[0];
}

/// The largest lane.
INLINE float vf_largest(vf v) {
    float lanes[VECTOR_WIDTH];
    vf_store(lanes, v);
    for (int half = VECTOR_WIDTH / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    }
    return lanes[0];
}

// MARK: Transposition

#if VECTOR_WIDTH == 4
#define LOW_LANES 0, 4, 1, 5
#define HIGH_LANES 2, 6, 3, 7
#elif VECTOR_WIDTH == 8
#define LOW_LANES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_LANES 4, 12, 5, 13, 6, 14, 7, 15
#elif VECTOR_WIDTH == 16
#define LOW_LANES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_LANES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/// Transposes a square of VECTOR_WIDTH vectors: interleaving row i with row i + half, log2(width) times.
INLINE void vf_transpose(vf rows[VECTOR_WIDTH]) {
#pragma clang loop unroll(full)
    for (int step = 1; step < VECTOR_WIDTH; step *= 2) {
        vf next[VECTOR_WIDTH];
#pragma clang loop unroll(full)
        for (int i = 0; i < VECTOR_WIDTH / 2; i++) {
            next[2 * i] = __builtin_shufflevector(rows[i], rows[i + VECTOR_WIDTH / 2], LOW_LANES);
            next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + VECTOR_WIDTH / 2], HIGH_LANES);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < VECTOR_WIDTH; i++) rows[i] = next[i];
    }
}

// MARK: Half precision

INLINE vf vf_from_bf16(vh x) { return vi_float(__builtin_convertvector(x, vi) << 16); }

/// Rounds to nearest, ties to even; NaN stays NaN.
INLINE vh vf_to_bf16(vf x) {
    vu bits = (vu)x;
    vu rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    vu nan = (bits >> 16) | 0x40;
    return __builtin_convertvector((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded, vh);
}

#ifdef VECTOR_F16C
typedef _Float16 vf16 __attribute__((ext_vector_type(VECTOR_WIDTH)));
INLINE vf vf_from_f16(vh x) { return __builtin_convertvector((vf16)x, vf); }
INLINE vh vf_to_f16(vf x) { return (vh)__builtin_convertvector(x, vf16); }
#else
/// By exponent re-biasing: subnormals come out right because the multiplication normalises them.
INLINE vf vf_from_f16(vh x) {
    vu bits = __builtin_convertvector(x, vu);
    vu sign = (bits & 0x8000) << 16;
    vf magnitude = (vf)((bits & 0x7FFF) << 13) * 0x1p112f;
    vu infinite = (vu)magnitude | 0x7F800000;
    vu result = (bits & 0x7C00) == 0x7C00 ? infinite : (vu)magnitude;
    return (vf)(result | sign);
}

/// Rounds to nearest, ties to even; overflows to infinity; NaN stays NaN.
INLINE vh vf_to_f16(vf x) {
    vu bits = (vu)x;
    vu sign = (bits >> 16) & 0x8000;
    vu magnitude = bits & 0x7FFFFFFF;
    vu normal = (magnitude - 0x38000000 + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
    // Adding 0.5 leaves the subnormal's ten bits, rounded, in the low bits of the sum.
    vu subnormal = (vu)((vf)magnitude + 0.5f) - 0x3F000000;
    vu result = magnitude < 0x38800000 ? subnormal : normal;
    result = magnitude >= 0x477FF000 ? (vu)(0x7C00) : result;
    result = magnitude > 0x7F800000 ? (vu)(0x7E00) : result;
    return __builtin_convertvector(result | sign, vh);
}
#endif

/// VECTOR_WIDTH elements of type `type` from element `index` on, as floats.
INLINE vf vf_load_as(const void *p, int64_t index, enum moult_type type) {
    if (type == moult_bfloat16) return vf_from_bf16(vh_load((const uint16_t *)p + index));
    if (type == moult_float16) return vf_from_f16(vh_load((const uint16_t *)p + index));
    return vf_load((const float *)p + index);
}

INLINE vf vf_load_as_up_to(const void *p, int64_t index, enum moult_type type, int64_t count) {
    if (type == moult_bfloat16) return vf_from_bf16(vh_load_up_to((const uint16_t *)p + index, count));
    if (type == moult_float16) return vf_from_f16(vh_load_up_to((const uint16_t *)p + index, count));
    return vf_load_up_to((const float *)p + index, count);
}

// MARK: Transcendental functions

/// exp(x) within 2 units in the last place, subnormal results included; exp(-inf) = 0, exp(inf) = inf, NaN stays.
INLINE vf vf_exp(vf x) {
    x = x > 89.0f ? vf_set(89.0f) : x;
    x = x < -104.0f ? vf_set(-104.0f) : x;
    // Adding 1.5 · 2^23 rounds to an integer that can be read from the low bits.
    const float magic = 12582912.0f;
    vf shifted = vf_fma(x, vf_set(1.44269504f), vf_set(magic));
    vi n = vf_bits(shifted) - 0x4B400000;
    vf whole = shifted - magic;
    vf r = vf_fma(whole, vf_set(-0.693359375f), x);
    r = vf_fma(whole, vf_set(2.12194440e-4f), r);
    // Cephes expf: exp(r) = 1 + r + r² p(r) on |r| ≤ ln2 / 2.
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_fma(p, r * r, r) + 1.0f;
    // 2^n in two factors, so that neither overflows or underflows before the product does.
    vi half = n >> 1;
    return p * vi_float((half + 127) << 23) * vi_float((n - half + 127) << 23);
}

/// 1 / (1 + exp(-x)), accurate in both tails.
INLINE vf vf_sigmoid(vf x) {
    vf tail = vf_exp(-vf_abs(x));
    vf near = 1.0f / (1.0f + tail);
    return x < 0.0f ? tail * near : near;
}

/// tanh(x), with the relative accuracy of float32.
INLINE vf vf_tanh(vf x) {
    // Cephes tanhf.
    vf square = x * x;
    vf p = vf_set(-5.70498872745e-3f);
    p = vf_fma(p, square, vf_set(2.06390887954e-2f));
    p = vf_fma(p, square, vf_set(-5.37397155531e-2f));
    p = vf_fma(p, square, vf_set(1.33314422036e-1f));
    p = vf_fma(p, square, vf_set(-3.33332819422e-1f));
    vf near = vf_fma(p * square, x, x), size = vf_abs(x);
    vf far = 1.0f - 2.0f / (vf_exp(size + size) + 1.0f);
    return size < 0.625f ? near : vi_float(vf_bits(far) | (vf_bits(x) & INT32_MIN));
}

/// cap · tanh(x / cap).
INLINE vf vf_capped(vf x, float cap) { return vf_tanh(x / cap) * cap; }

/// The slope of vf_capped where it gave `capped`; 0 for -infinity, which stands for what is not seen.
INLINE vf vf_cap_slope(vf capped, float cap) {
    vf part = vf_max(capped, vf_set(-cap)) / cap;
    return 1.0f - part * part;
}

/// p(f) of log(1 + f) = f - f²/2 + f³ p(f), for 1 + f from sqrt(1/2) to sqrt(2): Cephes logf.
INLINE vf vf_log_tail(vf f) {
    vf p = vf_set(7.0376836292e-2f);
    p = vf_fma(p, f, vf_set(-1.1514610310e-1f));
    p = vf_fma(p, f, vf_set(1.1676998740e-1f));
    p = vf_fma(p, f, vf_set(-1.2420140846e-1f));
    p = vf_fma(p, f, vf_set(1.4249322787e-1f));
    p = vf_fma(p, f, vf_set(-1.6668057665e-1f));
    p = vf_fma(p, f, vf_set(2.0000714765e-1f));
    p = vf_fma(p, f, vf_set(-2.4999993993e-1f));
    p = vf_fma(p, f, vf_set(3.3333331174e-1f));
    return p;
}

/// log(x) for every x, subnormal ones included: -inf for 0, NaN below it.
INLINE vf vf_log(vf x) {
    vi small = x < 0x1p-126f;
    vi bits = vf_bits(small ? x * 0x1p23f : x);
    // x = 2^n (1 + f) with 1 + f from sqrt(1/2) to sqrt(2), 0x3F3504F3 being the bits of sqrt(1/2).
    vi n = (bits - 0x3F3504F3) >> 23;
    vf f = vi_float(bits - (n << 23)) - 1.0f;
    vf whole = __builtin_convertvector(n - (small & 23), vf);
    vf square = f * f;
    vf y = vf_fma(whole, vf_set(-2.12194440e-4f), vf_log_tail(f) * square * f);
    y = vf_fma(vf_set(-0.5f), square, y) + f;
    y = vf_fma(whole, vf_set(0.693359375f), y);
    y = x == 0.0f ? vf_set(-INFINITY) : y;
    y = x < INFINITY ? y : x;
    return x < 0.0f ? vf_set(NAN) : y;
}

/// log(1 + u) for u in [0, 1].
INLINE vf vf_log1p_unit(vf u) {
    vf w = 1.0f + u;
    vf lost = (u - (w - 1.0f)) / w;
    vi large = w > 1.41421356f;
    vf f = (large ? w * 0.5f : w) - 1.0f;
    vf square = f * f;
    vf y = vf_log_tail(f) * square * f + lost;
    y = large ? y - 2.12194440e-4f : y;
    y = vf_fma(vf_set(-0.5f), square, y) + f;
    return large ? y + 0.693359375f : y;
}

/// log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)).
INLINE vf vf_logsigmoid(vf x) {
    return (x < 0.0f ? x : vf_set(0.0f)) - vf_log1p_unit(vf_exp(-vf_abs(x)));
}
