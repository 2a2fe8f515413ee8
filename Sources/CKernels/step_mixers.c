#include "step.h"

// The mixers of a step: one task per sequence and key/value head.

static int64_t one_per_head(const struct operation *operation, int64_t rows, int64_t threads) {
    (void)threads;
    return rows * operation->heads.key_value_heads;
}

/// `count` heads of one row, as the mixer reads them.
static void prepare(
    const struct moult_step_heads *heads, int64_t row, const float *x, float *out, int64_t count, int64_t dim, bool turned
) {
    const struct moult_kernels *kernels = moult_kernels();
    if (turned && heads->cosines) {
        const int64_t angle = row * (dim / 2);
        kernels->rope(x, heads->cosines + angle, heads->sines + angle, 1, out, count, dim);
    } else if (heads->silu) {
        kernels->silu(x, out, count * dim);
    } else {
        memcpy(out, x, (size_t)(count * dim) * sizeof(float));
    }
}

/// An operation over heads, with its own copies of q, k and v; NULL without memory.
static struct operation *append(struct moult_step *step, const struct moult_step_heads *heads) {
    struct operation *operation = step_append(step);
    if (!operation) return NULL;
    const size_t keys = (size_t)(step->capacity * heads->key_dim), values = (size_t)(step->capacity * heads->value_dim);
    operation->heads = *heads;
    operation->tasks = one_per_head;
    operation->q = step_memory(step, keys * (size_t)heads->heads * sizeof(float));
    operation->k = step_memory(step, keys * (size_t)heads->key_value_heads * sizeof(float));
    operation->v = step_memory(step, values * (size_t)heads->key_value_heads * sizeof(float));
    return operation->q && operation->k && operation->v ? operation : NULL;
}

// MARK: Gated Slot Attention

static bool run_slots(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_heads *heads = &operation->heads;
    const int64_t count = heads->key_value_heads, group = heads->heads / count, slots = operation->slot_count;
    const int64_t row = task / count, head = task % count, keys = heads->key_dim, values = heads->value_dim;
    const int64_t q = (row * count + head) * group * keys, k = (row * count + head) * keys;
    const int64_t v = (row * count + head) * values, f = (row * count + head) * slots;
    prepare(heads, row, heads->q + q, operation->q + q, group, keys, true);
    prepare(heads, row, heads->k + k, operation->k + k, 1, keys, true);
    prepare(heads, row, heads->v + v, operation->v + v, 1, values, false);
    moult_kernels()->log_gate(operation->gates + f, operation->gate_divisor, operation->log_gates + f, slots);
    const struct moult_gated_slot_attention job = {
        .batch = 1, .tokens = 1, .heads = heads->heads, .key_value_heads = count, .key_dim = keys, .value_dim = values,
        .slots = slots, .scale = heads->scale, .q = operation->q + row * heads->heads * keys,
        .k = operation->k + row * count * keys, .v = operation->v + row * count * values,
        .log_gates = operation->log_gates + row * count * slots, .slot_keys = operation->slots[row].keys,
        .slot_values = operation->slots[row].values, .out = heads->out + row * heads->heads * values};
    float *scratch = moult_scratch((size_t)moult_kernels()->slot_recurrent_scratch(&job) * sizeof(float));
    if (!scratch) return false;
    moult_kernels()->slot_recurrent(&job, 0, head, scratch);
    return true;
}

struct moult_step_slots *moult_step_gated_slots(
    struct moult_step *step, const struct moult_step_heads *heads, const float *gates, float divisor, int64_t slots
) {
    struct operation *operation = append(step, heads);
    if (!operation) return NULL;
    operation->run = run_slots;
    operation->gates = gates;
    operation->gate_divisor = divisor;
    operation->slot_count = slots;
    const size_t count = (size_t)(step->capacity * heads->key_value_heads * slots);
    operation->log_gates = step_memory(step, count * sizeof(float));
    operation->slots = step_memory(step, (size_t)step->capacity * sizeof *operation->slots);
    return operation->log_gates ? operation->slots : NULL;
}

// MARK: Softmax attention

static bool run_attention(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_heads *heads = &operation->heads;
    const int64_t count = heads->key_value_heads, group = heads->heads / count;
    const int64_t row = task / count, head = task % count, keys = heads->key_dim, values = heads->value_dim;
    const struct moult_step_cache *cache = &operation->caches[row];
    const int64_t q = (row * count + head) * group * keys, k = (row * count + head) * keys;
    const int64_t v = (row * count + head) * values;
    prepare(heads, row, heads->q + q, operation->q + q, group, keys, true);
    prepare(heads, row, heads->k + k, cache->keys + (cache->place * count + head) * keys, 1, keys, true);
    prepare(heads, row, heads->v + v, cache->values + (cache->place * count + head) * values, 1, values, false);
    const struct moult_attention job = {
        .batch = 1, .queries = 1, .keys = cache->held, .heads = heads->heads, .key_value_heads = count, .key_dim = keys,
        .value_dim = values, .window = cache->held, .scale = heads->scale, .q = operation->q + row * heads->heads * keys,
        .k = cache->keys, .v = cache->values, .out = heads->out + row * heads->heads * values};
    float *scratch = moult_scratch((size_t)moult_kernels()->attention_scratch(&job, 1) * sizeof(float));
    if (!scratch) return false;
    moult_kernels()->attention(&job, 0, head, 0, 1, 0, cache->held, scratch, NULL);
    return true;
}

struct moult_step_cache *moult_step_attention(struct moult_step *step, const struct moult_step_heads *heads) {
    struct operation *operation = append(step, heads);
    if (!operation) return NULL;
    operation->run = run_attention;
    operation->caches = step_memory(step, (size_t)step->capacity * sizeof *operation->caches);
    return operation->caches;
}

// MARK: Joining the heads

static bool run_join(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_join *join = &operation->join;
    const struct moult_step_rows *out = &operation->out;
    const struct moult_kernels *kernels = moult_kernels();
    const int64_t at = task * out->width;
    const float *x = join->x + at;
    float *values = out->values + at;
    if (join->window) {
        kernels->mix(join->window + at, x, join->share + task * join->heads, values, join->heads, join->value_dim);
    } else if (join->silu) {
        kernels->silu(x, values, out->width);
    } else {
        memcpy(values, x, (size_t)out->width * sizeof(float));
    }
    if (join->norm_weight) kernels->rms_norm(values, join->norm_weight, join->norm_epsilon, values, 1, out->width);
    step_round(out, task, 0, out->width);
    return true;
}

bool moult_step_join(struct moult_step *step, const struct moult_step_join *join, const struct moult_step_rows *out) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = step_task_per_row;
    operation->run = run_join;
    operation->join = *join;
    operation->out = *out;
    return true;
}
