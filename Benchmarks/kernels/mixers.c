// Times recurrences beside gated slot attention with a state of the same size, by turns, and prints the best of all
// rounds.
//
// The fraction of the peak counts what the definitions multiply with whole states, once each: of a token and state
// (K, V), G query heads, forward its update and G reads, and what a delta rule recalls; backward the update again, the
// adjoint's, G reads of both, and the gradients of keys and values. Whatever else a form computes is not counted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "CKernels.h"

enum { heads = 9, group = 1, keys = 64, values = 64, slots = 16, all = 6 };

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static float *uniform(int64_t count, float least, float most) {
    float *x = aligned_alloc(64, ((size_t)count * 4 + 127) / 64 * 64);
    if (!x) exit(2);
    for (int64_t i = 0; i < count; i++) x[i] = least + (most - least) * ((float)rand() / (float)RAND_MAX);
    return x;
}

// MARK: The peak

// Independent chains of multiplications and additions, as many as hide their latency.
#define PEAK(name, width, features)                                                                     \
    typedef float name##_vector __attribute__((vector_size(4 * (width))));                              \
    features __attribute__((noinline)) static double name(int64_t rounds) {                             \
        name##_vector x[16], factor = (name##_vector){} + 0.999f, rest = (name##_vector){} + 0.001f;    \
        for (int i = 0; i < 16; i++) x[i] = (name##_vector){} + (float)i;                               \
        const double start = seconds();                                                                 \
        for (int64_t r = 0; r < rounds; r++) {                                                          \
            for (int i = 0; i < 16; i++) x[i] = x[i] * factor + rest;                                   \
        }                                                                                               \
        const double time = seconds() - start;                                                          \
        volatile float sink = 0;                                                                        \
        for (int i = 0; i < 16; i++) sink += x[i][0];                                                   \
        return 2.0 * 16 * (width) * (double)rounds / time;                                              \
    }

#if defined(__x86_64__)
PEAK(peak_wide, 16, __attribute__((target("avx512f"))))
PEAK(peak_half, 8, __attribute__((target("avx2,fma"))))
#endif
PEAK(peak_plain, 4, )

/// Floating-point operations a second of one thread, in the vectors of the chosen kernels.
static double peak(void) {
    double best = 0;
    for (int round = 0; round < 50; round++) {
        double found = 0;
#if defined(__x86_64__)
        if (strncmp(moult_kernels_name(), "avx512", 6) == 0) found = peak_wide(400000);
        else if (strcmp(moult_kernels_name(), "avx2") == 0) found = peak_half(400000);
        else
#endif
            found = peak_plain(400000);
        if (found > best) best = found;
    }
    return best;
}

// MARK: The mixers

struct mixer {
    const char *name;
    bool is_slots, is_delta, is_general;
    int64_t decay_dim;
    double forward, backward;  // seconds
};

static double best(double known, double start) {
    const double time = seconds() - start;
    return known == 0 || time < known ? time : known;
}

int main(int count, char **arguments) {
    const int threads = count > 1 ? atoi(arguments[1]) : 2, rounds = count > 2 ? atoi(arguments[2]) : 30;
    moult_set_threads(threads);
    const double limit = peak() * threads;
    printf("%s, %d threads, peak %.0f GFLOP/s; B 1, H = N = %d, K = V = %d, %d slots\n\n", moult_kernels_name(),
           threads, limit / 1e9, heads, keys, slots);
    printf("| | T | forward ms | of the peak | backward ms | of the peak |\n|---|---|---|---|---|---|\n");
    for (int64_t tokens = 512; tokens <= 2048; tokens *= 4) {
        const int64_t rows = tokens * heads;
        const float *q = uniform(rows * group * keys, -1, 1), *k = uniform(rows * keys, -0.2f, 0.2f);
        const float *v = uniform(rows * values, -1, 1), *decays = uniform(rows * keys, -1, 0);
        const float *writes = uniform(rows * keys, -0.1f, 0.1f), *betas = uniform(rows, 0, 1);
        const float *gradient = uniform(rows * group * values, -1, 1);
        float *state = uniform(heads * keys * values, 0, 0), *second = uniform(heads * keys * values, 0, 0);
        float *out = uniform(rows * group * values, 0, 0), *to[7];
        for (int i = 0; i < 7; i++) to[i] = uniform(rows * group * (keys > values ? keys : values), 0, 0);
        struct mixer mixers[all] = {
            {.name = "gated slot attention", .is_slots = true},
            {.name = "gated linear, a decay per head", .decay_dim = 1},
            {.name = "gated linear, per channel", .decay_dim = keys},
            {.name = "gated delta, a decay per head", .is_delta = true, .decay_dim = 1},
            {.name = "gated delta, per channel", .is_delta = true, .decay_dim = keys},
            {.name = "generalised delta", .is_delta = true, .is_general = true}};
        for (int round = 0; round < rounds; round++) {
            for (struct mixer *x = mixers; x < mixers + all; x++) {
                size_t missing;
                double start = seconds();
                if (x->is_slots) {
                    const struct moult_gated_slot_attention job = {
                        1, tokens, heads * group, heads, keys, values, slots, 0.125f, q, k, v, decays, state, second,
                        out, NULL, 0};
                    missing = moult_gated_slot_attention(&job, moult_gated_slot_automatic);
                    x->forward = best(x->forward, start);
                    const struct moult_gated_slot_attention_backward back = {
                        job, gradient, NULL, NULL, to[0], to[1], to[2], to[3], to[4], to[5]};
                    start = seconds();
                    missing |= moult_gated_slot_attention_backward(&back);
                } else if (x->is_general) {
                    const struct moult_general_delta job = {
                        1, tokens, heads * group, heads, keys, values, 0.125f, q, k, v, decays, k, writes, state, out,
                        NULL, 0};
                    missing = moult_general_delta(&job);
                    x->forward = best(x->forward, start);
                    const struct moult_general_delta_backward back = {
                        job, gradient, NULL, to[0], to[1], to[2], to[3], to[4], to[5], to[6]};
                    start = seconds();
                    missing |= moult_general_delta_backward(&back);
                } else {
                    const struct moult_recurrence job = {
                        1, tokens, heads * group, heads, keys, values, x->decay_dim, 0.125f, q, k, v, decays,
                        x->is_delta ? betas : NULL, state, out, NULL, 0};
                    missing = moult_recurrence(&job, moult_recurrence_automatic);
                    x->forward = best(x->forward, start);
                    const struct moult_recurrence_backward back = {
                        job, gradient, NULL, to[0], to[1], to[2], to[3], x->is_delta ? to[4] : NULL, to[5]};
                    start = seconds();
                    missing |= moult_recurrence_backward(&back);
                }
                x->backward = best(x->backward, start);
                if (missing) return 2;
            }
        }
        for (struct mixer *x = mixers; x < mixers + all; x++) {
            const double state_size = x->is_slots ? slots * (keys + values) : keys * values;
            const double once = 2 * state_size * (double)rows;
            const double forward = once * (1 + group + x->is_delta);
            const double backward = once * (3 + 2 * group + 3 * x->is_delta);
            printf("| %s | %lld | %.2f | %.0f%% | %.2f | %.0f%% |\n", x->name, (long long)tokens, 1e3 * x->forward,
                   100 * forward / x->forward / limit, 1e3 * x->backward, 100 * backward / x->backward / limit);
        }
    }
}
