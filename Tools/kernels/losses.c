#include "check.h"

/// cap · tanh(x / cap), and its slope; x and 1 for no cap.
static double capped(double x, float cap) { return cap > 0 ? cap * tanh(x / cap) : x; }
static double cap_slope(double y, float cap) { return cap > 0 ? 1 - y / cap * (y / cap) : 1; }

/// Rows of logits hidden · headᵀ, and the logarithm of their sums of exponentials.
static void logits_of(
    const float *hidden, int64_t rows, int64_t inputs, const float *head, int64_t outputs, float cap, double *logits,
    double *sums
) {
    for (int64_t r = 0; r < rows; r++) {
        double most = -INFINITY, sum = 0;
        for (int64_t o = 0; o < outputs; o++) {
            double value = 0;
            for (int64_t i = 0; i < inputs; i++) value += (double)hidden[r * inputs + i] * head[o * inputs + i];
            most = fmax(most, logits[r * outputs + o] = capped(value, cap));
        }
        for (int64_t o = 0; o < outputs; o++) sum += exp(logits[r * outputs + o] - most);
        sums[r] = most + log(sum);
    }
}

/// The gradients of the hidden rows and of the head, from those of the logits.
static void spread(
    const double *slopes, const float *hidden, int64_t rows, int64_t inputs, const float *head, int64_t outputs,
    double *hidden_gradient, double *head_gradient
) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t o = 0; o < outputs; o++) {
            for (int64_t i = 0; i < inputs; i++) {
                hidden_gradient[r * inputs + i] += slopes[r * outputs + o] * head[o * inputs + i];
                head_gradient[o * inputs + i] += slopes[r * outputs + o] * hidden[r * inputs + i];
            }
        }
    }
}

static void check_one(int64_t rows, int64_t inputs, int64_t outputs, enum moult_type type, float cap) {
    shape("%s, %lld rows, %lld inputs, %lld outputs", name_of(type), (long long)rows, (long long)inputs, (long long)outputs);
    const float *hidden = normal(rows * inputs, 1), *other = normal(rows * inputs, 1);
    float *head, *other_head;
    const double deviation = 2 / sqrt((double)inputs);
    const void *stored = rounded(normal(outputs * inputs, deviation), outputs * inputs, type, &head);
    const void *other_stored = rounded(normal(outputs * inputs, deviation), outputs * inputs, type, &other_head);
    double *logits = doubles(rows * outputs), *sums = doubles(rows), *slopes = doubles(rows * outputs);
    double *other_logits = doubles(rows * outputs), *other_sums = doubles(rows), *expected = doubles(rows);
    int32_t *targets = bytes(rows * 4);
    logits_of(hidden, rows, inputs, head, outputs, cap, logits, sums);
    logits_of(other, rows, inputs, other_head, outputs, 2 * cap, other_logits, other_sums);
    for (int64_t r = 0; r < rows; r++) {
        targets[r] = (int32_t)below(outputs);
        expected[r] = sums[r] - logits[r * outputs + targets[r]];
    }
    float *losses = space(rows);
    moult_negative_log_likelihood(hidden, rows, inputs, stored, type, outputs, cap, targets, losses);
    check_near("negative_log_likelihood", losses, expected, rows, 2e-5, 0.1);

    if (rows > 1) targets[1] = -1, expected[1] = 0;
    double *hidden_gradient = doubles(rows * inputs), *head_gradient = doubles(outputs * inputs);
    for (int64_t i = 0; i < rows * outputs; i++) {
        const int64_t r = i / outputs;
        slopes[i] = targets[r] < 0 ? 0 : 0.5 * (exp(logits[i] - sums[r]) - (i % outputs == targets[r])) * cap_slope(logits[i], cap);
    }
    spread(slopes, hidden, rows, inputs, head, outputs, hidden_gradient, head_gradient);
    struct moult_loss loss = {
        .rows = rows, .inputs = inputs, .outputs = outputs, .hidden = hidden, .head = stored, .type = type, .cap = cap, .scale = 0.5f,
        .losses = losses, .hidden_gradient = space(rows * inputs), .head_gradient = space(outputs * inputs)};
    memset(loss.head_gradient, 0, (size_t)(outputs * inputs) * 4);
    check("cross_entropy has memory", moult_cross_entropy(&loss, targets) == moult_success);
    check_near("cross_entropy", losses, expected, rows, 2e-5, 0.1);
    check_near("cross_entropy, hidden", loss.hidden_gradient, hidden_gradient, rows * inputs, 5e-5, 0.05);
    check_near("cross_entropy, head", loss.head_gradient, head_gradient, outputs * inputs, 5e-5, 0.05);

    hidden_gradient = doubles(rows * inputs), head_gradient = doubles(outputs * inputs);
    for (int64_t r = 0; r < rows; r++) {
        expected[r] = 0;
        for (int64_t i = r * outputs; i < (r + 1) * outputs; i++) {
            const double p = exp(other_logits[i] - other_sums[r]), log_q = logits[i] - sums[r];
            expected[r] += p * (other_logits[i] - other_sums[r] - log_q);
            slopes[i] = 0.5 * (exp(log_q) - p) * cap_slope(logits[i], cap);
        }
    }
    spread(slopes, hidden, rows, inputs, head, outputs, hidden_gradient, head_gradient);
    loss.hidden_gradient = space(rows * inputs), loss.head_gradient = space(outputs * inputs);
    memset(loss.head_gradient, 0, (size_t)(outputs * inputs) * 4);
    check("divergence has memory", moult_divergence(&loss, other, inputs, other_stored, type, 2 * cap) == moult_success);
    check_near("divergence", losses, expected, rows, 1e-4, 0.1);
    check_near("divergence, hidden", loss.hidden_gradient, hidden_gradient, rows * inputs, 5e-5, 0.05);
    check_near("divergence, head", loss.head_gradient, head_gradient, outputs * inputs, 5e-5, 0.05);
}

static void check_sums(int64_t count) {
    shape("%lld elements", (long long)count);
    const float *x = normal(count, 1), *y = normal(count, 1);
    double sum = 0, loss = 0, distance = 0, energy = 0, found = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)x[i] * x[i];
        distance += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        energy += (double)y[i] * y[i];
    }
    moult_sum_of_squares(x, count, &found);
    check("sum_of_squares", fabs(found - sum) <= 1e-5 * sum);
    float *gradient = space(count);
    double *expected = doubles(count);
    for (int64_t i = 0; i < count; i++) expected[i] = 2 * ((double)x[i] - y[i]) / energy;
    moult_squared_error(x, y, count, &loss, gradient);
    check("squared_error", fabs(loss - distance / energy) <= 1e-5 * distance / energy);
    check_floats("squared_error, gradient", gradient, expected, count, 1e-5);
}

static void check_sampling(int64_t count) {
    shape("%lld scores", (long long)count);
    float *scores = normal(count, 4), *weights = space(count), value = 0;
    int64_t place = -1, best = 0, found = 0, expected = 0;
    double mass = 0, sum = 0, *exact = doubles(count);
    for (int64_t i = 0; i < count; i++) best = scores[i] > scores[best] ? i : best;
    check("largest", moult_largest(scores, count, &place, &value) && place == best && value == scores[best]);
    moult_sampling_weights(scores, scores[best], 0.7f, weights, count);
    for (int64_t i = 0; i < count; i++) exact[i] = exp(((double)scores[i] - scores[best]) / 0.7f);
    check_floats("sampling_weights", weights, exact, count, 1e-5);
    moult_tally(scores, weights, 1, count, &found, &mass);
    for (int64_t i = 0; i < count; i++) expected += scores[i] >= 1, sum += scores[i] >= 1 ? weights[i] : 0;
    check("tally", found == expected && fabs(mass - sum) <= 1e-5 * (sum + 1e-9));
    int32_t *places = bytes(count * 4);
    const int64_t taken = moult_places(scores, -1, 1, count, places, count);
    bool right = true;
    int64_t next = 0;
    for (int64_t i = 0; i < count; i++) {
        if (scores[i] < -1 || scores[i] >= 1) continue;
        right &= next < taken && places[next] == i;
        next++;
    }
    check("places", right && next == taken);
    for (int kind = 0; kind < 3; kind++) {
        const float kept = scores[count - 1];
        scores[count - 1] = (float[]){NAN, INFINITY, -INFINITY}[kind];
        check("largest of what is not finite", !moult_largest(scores, count, &place, &value));
        scores[count - 1] = kept;
    }
}

void check_losses(void) {
    static const int64_t shapes[][3] = {{1, 1, 2}, {2, 3, 5}, {5, 17, 33}, {9, 64, 100}, {17, 31, 700}, {3, 128, 2003}};
    for (int64_t i = 0; i < ALL(shapes); i++) {
        for (enum moult_type type = moult_float32; type <= moult_float16; type++) {
            check_one(shapes[i][0], shapes[i][1], shapes[i][2], type, 0), check_one(shapes[i][0], shapes[i][1], shapes[i][2], type, 1.5f);
            release();
        }
    }
    if (thorough) check_one(70, 96, 3000, moult_bfloat16, 0), check_one(70, 96, 3000, moult_bfloat16, 1.5f), release();
    static const int64_t counts[] = {1, 2, 3, 5, 8, 15, 17, 33, 64, 100, 1023, 4097, 49152, 128256, 151936, 262144};
    for (int64_t i = 0; i < ALL(counts); i++) check_sums(counts[i]), check_sampling(counts[i]), release();
}
