#include "check.h"

#include <stdarg.h>

bool thorough;

static uint64_t seed = 42;
static long checks, failures;
static char current[160];

enum { margin = 64, most_blocks = 4096 };
static void *blocks[most_blocks];
static int64_t block_count;

static uint64_t next_random(void) {
    uint64_t z = seed += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

int64_t below(int64_t limit) { return (int64_t)(next_random() % (uint64_t)limit); }

static double uniform(void) { return ((double)(next_random() >> 11) + 0.5) / 9007199254740992.0; }

void *bytes(int64_t count) {
    const size_t size = ((size_t)count + margin * 4 + 63) / 64 * 64;
    void *block = aligned_alloc(64, size);
    if (!block || block_count == most_blocks) {
        fprintf(stderr, "no memory for %zu bytes\n", size);
        exit(2);
    }
    memset(block, 0, size);
    return blocks[block_count++] = block;
}

void release(void) {
    while (block_count > 0) free(blocks[--block_count]);
}

float *space(int64_t count) {
    float *values = bytes(count * 4);
    for (int64_t i = 0; i < count + margin; i++) values[i] = NAN;
    return values;
}

float *normal(int64_t count, double deviation) {
    float *values = space(count);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(deviation * sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()));
    }
    return values;
}

double *doubles(int64_t count) { return bytes(count * 8); }

void shape(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(current, sizeof current, format, list);
    va_end(list);
}

void check(const char *what, bool holds) {
    checks++;
    if (holds) return;
    failures++;
    printf("WRONG %s: %s, %s\n", moult_kernels_name(), what, current);
    fflush(stdout);
}

void check_floats(const char *what, const float *found, const double *expected, int64_t count, double tolerance) {
    check_near(what, found, expected, count, tolerance, 1e-30);
}

void check_near(
    const char *what, const float *found, const double *expected, int64_t count, double tolerance, double least
) {
    double largest = least, worst = 0;
    int64_t place = 0;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < count; i++) {
        const double difference = fabs((double)found[i] - expected[i]);
        if (difference <= worst) continue;
        worst = difference, place = i;  // NaN compares as false, and so comes here.
        if (isnan(difference)) break;
    }
    bool beyond = false;
    for (int64_t i = 0; i < margin; i++) beyond |= !isnan(found[count + i]);
    char text[200];
    snprintf(
        text, sizeof text, "%s: element %lld of %lld is %g, expected %g (tolerance %g)%s", what, (long long)place,
        (long long)count, (double)found[place], expected[place], tolerance * largest,
        beyond ? "; written beyond the end" : "");
    check(text, worst <= tolerance * largest && !beyond);
}

void *rounded(const float *x, int64_t count, enum moult_type type, float **value) {
    *value = space(count);
    if (type == moult_float32) {
        memcpy(*value, x, (size_t)count * 4);
        return *value;
    }
    uint16_t *half = bytes(count * 2);
    moult_convert(x, moult_float32, half, type, count);
    moult_convert(half, type, *value, moult_float32, count);
    return half;
}

const char *name_of(enum moult_type type) {
    return (const char *[]){"f32", "bf16", "f16", "q8", "q4"}[type];
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) thorough |= strcmp(arguments[i], "--thorough") == 0;
    static const struct {
        const char *name;
        void (*run)(void);
    } groups[] = {{"elements", check_elements}, {"products", check_products}, {"attention", check_attention},
                  {"slots", check_slots}, {"recurrences", check_recurrences}, {"general_delta", check_general_delta},
                  {"losses", check_losses},
                  {"quantisation", check_quantisation}, {"steps", check_steps}};
    // As many as find races, also on a machine of fewer cores.
    moult_set_threads(4);
    const char *only = getenv("CHECK_ONLY");
    for (int index = 0; moult_kernels_available(index); index++) {
        moult_select_kernels(moult_kernels_available(index));
        const long before = checks, wrong = failures;
        for (int64_t g = 0; g < ALL(groups); g++) {
            if (only && strcmp(only, groups[g].name) != 0) continue;
            groups[g].run();
            release();
        }
        printf("%s: %ld comparisons, %ld wrong\n", moult_kernels_name(), checks - before, failures - wrong);
        fflush(stdout);
    }
    return failures > 0;
}
