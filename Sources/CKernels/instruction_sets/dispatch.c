#include "include/moult_dispatch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instruction_sets/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

extern const struct moult_kernels moult_kernels_baseline, moult_kernels_avx2, moult_kernels_avx512,
    moult_kernels_avx512vnni;
static const struct moult_kernels *const sets[] = {
    &moult_kernels_baseline, &moult_kernels_avx2, &moult_kernels_avx512,
    &moult_kernels_avx512vnni,
};

static uint64_t enabled_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/// How many of `sets` both the processor and the operating system support.
static int supported_sets(void) {
    enum { osxsave = 1 << 27, avx = 1 << 28, fma = 1 << 12, f16c = 1 << 29, avx2 = 1 << 5 };
    const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
    const uint32_t needed = osxsave | avx | fma | f16c;
    if ((c & needed) != needed) return 1;
    uint64_t state = enabled_state();
    if ((state & 0x6) != 0x6) return 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2)) return 1;
    if ((b & avx512) != avx512 || (state & 0xE6) != 0xE6) return 2;
    return c & 1u << 11 ? 4 : 3;  // VNNI
}
#elif defined(__aarch64__)
extern const struct moult_kernels moult_kernels_neon;
static const struct moult_kernels *const sets[] = {&moult_kernels_neon};
static int supported_sets(void) { return 1; }
#else
extern const struct moult_kernels moult_kernels_baseline;
static const struct moult_kernels *const sets[] = {&moult_kernels_baseline};
static int supported_sets(void) { return 1; }
#endif

static _Atomic(const struct moult_kernels *) chosen;

static const struct moult_kernels *find(const char *name) {
    int count = supported_sets();
    for (int i = 0; i < count; i++) {
        if (strcmp(sets[i]->name, name) == 0) return sets[i];
    }
    return NULL;
}

static const struct moult_kernels *best(void) {
    const char *name = getenv("MOULT_CPU");
    if (name && *name) {
        const struct moult_kernels *forced = find(name);
        if (forced) return forced;
        fprintf(stderr, "warning: MOULT_CPU=%s is not an instruction set of this processor; ignored\n", name);
    }
    return sets[supported_sets() - 1];
}

const struct moult_kernels *moult_kernels(void) {
    const struct moult_kernels *set = atomic_load_explicit(&chosen, memory_order_acquire);
    if (set) return set;
    const struct moult_kernels *found = best(), *none = NULL;
    return atomic_compare_exchange_strong(&chosen, &none, found) ? found : none;
}

const char *moult_kernels_name(void) { return moult_kernels()->name; }

const char *moult_kernels_available(int index) {
    return index >= 0 && index < supported_sets() ? sets[index]->name : NULL;
}

bool moult_select_kernels(const char *name) {
    const struct moult_kernels *set = name ? find(name) : best();
    if (!set) return false;
    atomic_store_explicit(&chosen, set, memory_order_release);
    return true;
}
