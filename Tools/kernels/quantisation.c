#include "check.h"

static double squared_error(const float *x, const float *y, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
    return sum;
}

/// What is rounded is near what it was, and the sums that are told are right.
static void check_rounding(int64_t outputs, int64_t inputs, enum moult_type type) {
    shape("%s, %lld outputs, %lld inputs", name_of(type), (long long)outputs, (long long)inputs);
    const int64_t count = outputs * inputs, tiles = moult_tile_rows(outputs);
    const float *weight = normal(count, 0.1);
    float *value = space(count), *important = space(count);
    struct moult_quantise job = {
        .weight = weight, .outputs = outputs, .inputs = inputs, .type = type,
        .out = bytes(moult_weight_bytes(type, outputs, inputs)), .squared_errors = doubles(tiles),
        .squares = doubles(tiles), .symmetric_groups = doubles(tiles)};
    check("quantise has memory", moult_quantise(&job) == moult_success);
    moult_widen_grouped(job.out, type, outputs, inputs, value);
    double errors = 0, squares = 0, exact = 0;
    for (int64_t t = 0; t < tiles; t++) errors += job.squared_errors[t], squares += job.squares[t];
    for (int64_t i = 0; i < count; i++) exact += (double)weight[i] * weight[i];
    const double error = squared_error(weight, value, count);
    // Rounding to 8 bits of a group's largest loses about 1/20,000 of the squares, to 4 bits 1/150.
    check("the error is small", error < exact * (type == moult_q8 ? 2e-4 : 2e-2));
    check("the error is what was told", fabs(error - errors) <= 1e-3 * error + 1e-9);
    check("the squares are what was told", fabs(exact - squares) <= 1e-4 * exact);
    // With the last of 32 inputs all that matters, its error is the smaller; of a few groups alone chance may have it otherwise.
    if (count < 512) return;
    float *importance = space(inputs);
    for (int64_t i = 0; i < inputs; i++) importance[i] = i % 32 == 31 ? 1000 : 1;
    job.importance = importance;
    moult_quantise(&job);
    moult_widen_grouped(job.out, type, outputs, inputs, important);
    double with = 0, without = 0;
    for (int64_t i = 0; i < count; i++) {
        const double weighted = importance[i % inputs];
        with += weighted * pow((double)important[i] - weight[i], 2);
        without += weighted * pow((double)value[i] - weight[i], 2);
    }
    check("importance helps what is important", with <= without * 1.05);
}

/// H + damping = U D Uᵀ, and rounding with U leaves less of (w - ŵ)ᵀ H (w - ŵ) than without.
static void check_feedback(int64_t inputs) {
    shape("%lld inputs", (long long)inputs);
    enum { samples = 300, outputs = 20 };
    const float *x = normal(samples * inputs, 1), *shared = normal(samples, 2);
    float *moment = space(inputs * inputs), *panels = space(moult_feedback_floats(inputs)), *d = space(inputs);
    for (int64_t i = 0; i < inputs; i++) {
        for (int64_t j = 0; j < inputs; j++) {
            double sum = 0;
            for (int64_t s = 0; s < samples; s++) {
                sum += ((double)x[s * inputs + i] + shared[s]) * ((double)x[s * inputs + j] + shared[s]);
            }
            moment[i * inputs + j] = (float)(sum / samples);
        }
    }
    const float damping = 0.05f;
    moult_feedback(moment, inputs, damping, panels, d);
    double *u = doubles(inputs * inputs), *expected = doubles(inputs * inputs);
    for (int64_t j = 0; j < inputs; j++) {
        const float *panel = panels + j / 32 * (j / 32 + 1) / 2 * 1024;
        for (int64_t i = 0; i < j; i++) u[i * inputs + j] = panel[i * 32 + j % 32];
        u[j * inputs + j] = 1;
    }
    float *found = space(inputs * inputs);
    for (int64_t i = 0; i < inputs; i++) {
        for (int64_t j = 0; j < inputs; j++) {
            double sum = 0;
            for (int64_t k = 0; k < inputs; k++) sum += u[i * inputs + k] * d[k] * u[j * inputs + k];
            found[i * inputs + j] = (float)sum;
            expected[i * inputs + j] = moment[i * inputs + j] + (i == j ? damping : 0);
        }
    }
    check_floats("feedback", found, expected, inputs * inputs, 2e-4);
    const float *weight = normal(outputs * inputs, 0.1);
    const int64_t tiles = moult_tile_rows(outputs);
    struct moult_quantise job = {
        .weight = weight, .outputs = outputs, .inputs = inputs, .type = moult_q4,
        .out = bytes(moult_weight_bytes(moult_q4, outputs, inputs)), .squared_errors = doubles(tiles),
        .squares = doubles(tiles), .symmetric_groups = doubles(tiles)};
    double losses[2] = {0, 0};
    for (int with = 0; with < 2; with++) {
        float *value = space(outputs * inputs);
        job.feedback = with ? panels : NULL, job.importance = with ? d : NULL;
        moult_quantise(&job);
        moult_widen_grouped(job.out, moult_q4, outputs, inputs, value);
        for (int64_t o = 0; o < outputs; o++) {
            for (int64_t i = 0; i < inputs; i++) {
                const double error = (double)weight[o * inputs + i] - value[o * inputs + i];
                for (int64_t j = 0; j < inputs; j++) {
                    losses[with] += error * moment[i * inputs + j]
                        * ((double)weight[o * inputs + j] - value[o * inputs + j]);
                }
            }
        }
    }
    check("feedback leaves less of the loss", losses[1] < losses[0]);
}

void check_quantisation(void) {
    static const int64_t outputs[] = {1, 15, 16, 17, 40}, inputs[] = {32, 64, 96, 576};
    for (enum moult_type type = moult_q8; type <= moult_q4; type++) {
        for (int64_t o = 0; o < ALL(outputs); o++) {
            for (int64_t i = 0; i < ALL(inputs); i++) check_rounding(outputs[o], inputs[i], type), release();
        }
    }
    check_feedback(32), check_feedback(96), release();
    if (thorough) check_feedback(256), release();
}
