#include <vector>

#include "emulated_device.h"
#include "emulator.h"

namespace moult_emulator {
namespace {

template <typename T> T* memory(uint64_t address) { return reinterpret_cast<T*>(address); }

float wide(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }

}  // namespace

void multiply(const moult_cuda_product& p) {
    const bool is_half = p.d_type == moult_cuda_bfloat16;
    const auto *a = memory<const uint16_t>(p.a), *b = memory<const uint16_t>(p.b);
    auto* halves = memory<uint16_t>(p.d);
    auto* floats = memory<float>(p.d);
    // op(a) in float32, columns one after another, so that sums grow by a column at a time.
    std::vector<float> columns(p.m * p.k), sums(p.m);
    for (int64_t k = 0; k < p.k; k++)
        for (int64_t m = 0; m < p.m; m++) columns[k * p.m + m] = wide(p.transpose_a ? a[m * p.k + k] : a[k * p.m + m]);
    for (int64_t n = 0; n < p.n; n++) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t k = 0; k < p.k; k++) {
            const float factor = wide(p.transpose_b ? b[k * p.n + n] : b[n * p.k + k]), *column = &columns[k * p.m];
            for (int64_t m = 0; m < p.m; m++) sums[m] += factor * column[m];
        }
        for (int64_t m = 0; m < p.m; m++) {
            const int64_t at = n * p.m + m;
            float sum = sums[m];
            // What is not asked for is not read: it may be anything.
            if (p.beta != 0) sum += p.beta * (is_half ? wide(halves[at]) : floats[at]);
            if (p.bias) sum += is_half ? wide(memory<uint16_t>(p.bias)[m]) : memory<float>(p.bias)[m];
            if (is_half) halves[at] = static_cast<uint16_t>(round_bf16(sum));
            else floats[at] = sum;
        }
    }
}

}  // namespace moult_emulator
