#include "step.h"

// The mixers of a step: one task per sequence and key/value head.

/// Joined key/value heads, n.
static int64_t head_count(const struct moult_step_heads *heads) {
    return heads->set ? __builtin_popcountll(heads->set) : heads->key_value_heads;
}

/// The joined head at `place` among them.
static int64_t head_at(const struct moult_step_heads *heads, int64_t place) {
    if (!heads->set) return place;
    uint64_t rest = heads->set;
    for (int64_t i = 0; i < place; i++) rest &= rest - 1;
    return __builtin_ctzll(rest);
}

static int64_t one_per_head(const struct operation *operation, int64_t rows, int64_t threads) {
    (void)threads;
    return rows * head_count(&operation->heads);
}

/// `count` heads of one row, as the mixer reads them: turned by the angles of `cosines` and `sines`, unless NULL.
static void prepare(
    const struct moult_step_heads *heads, int64_t row, const float *x, float *out, int64_t count, int64_t dim,
    const float *cosines, const float *sines
) {
    const struct moult_kernels *kernels = moult_kernels();
    if (cosines) {
        const int64_t angle = row * (dim / 2);
        kernels->rope(x, cosines + angle, sines + angle, 1, out, count, dim);
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
    const int64_t all = heads->key_value_heads, group = heads->heads / all, slots = operation->slot_count;
    const int64_t count = head_count(heads), row = task / count, place = task % count, head = head_at(heads, place);
    const int64_t keys = heads->key_dim, values = heads->value_dim, state = place * slots;
    const int64_t q = (row * all + head) * group * keys, k = (row * all + head) * keys;
    const int64_t v = (row * all + head) * values, f = (row * count + place) * slots;
    prepare(heads, row, heads->q + q, operation->q + q, group, keys, heads->cosines, heads->sines);
    prepare(heads, row, heads->k + k, operation->k + k, 1, keys, heads->cosines, heads->sines);
    prepare(heads, row, heads->v + v, operation->v + v, 1, values, NULL, NULL);
    moult_kernels()->log_gate(operation->gates + f, operation->gate_divisor, operation->log_gates + f, slots);
    const struct moult_gated_slot_attention job = {
        .batch = 1, .tokens = 1, .heads = group, .key_value_heads = 1, .key_dim = keys, .value_dim = values,
        .slots = slots, .scale = heads->scale, .q = operation->q + q, .k = operation->k + k, .v = operation->v + v,
        .log_gates = operation->log_gates + f, .slot_keys = operation->slots[row].keys + state * keys,
        .slot_values = operation->slots[row].values + state * values,
        .out = heads->out + (row * all + head) * group * values};
    float *scratch = moult_scratch((size_t)moult_kernels()->slot_recurrent_scratch(&job) * sizeof(float));
    if (!scratch) return false;
    moult_kernels()->slot_recurrent(&job, 0, 0, scratch);
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
    const size_t count = (size_t)(step->capacity * head_count(heads) * slots);
    operation->log_gates = step_memory(step, count * sizeof(float));
    operation->slots = step_memory(step, (size_t)step->capacity * sizeof *operation->slots);
    return operation->log_gates ? operation->slots : NULL;
}

// MARK: Softmax attention

/// Puts head `row` of a cache's rows, of which x (dim) is the value, in its place.
static void hold(const struct moult_step_cache *cache, void *rows, float *scales, int64_t row, const float *x, int64_t dim) {
    if (cache->type == moult_cache_float32) {
        memcpy((float *)rows + row * dim, x, (size_t)dim * sizeof(float));
    } else if (cache->type == moult_cache_bfloat16) {
        moult_kernels()->narrow(x, moult_bfloat16, (uint16_t *)rows + row * dim, dim);
    } else {
        moult_round_codes(x, 1, dim, (int8_t *)rows + row * dim, scales + row);
    }
}

static bool run_attention(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_heads *heads = &operation->heads;
    const int64_t all = heads->key_value_heads, group = heads->heads / all;
    const int64_t count = head_count(heads), row = task / count, place = task % count, head = head_at(heads, place);
    const int64_t keys = heads->key_dim, values = heads->value_dim;
    const struct moult_step_cache *cache = &operation->caches[row];
    const int64_t q = (row * all + head) * group * keys, k = (row * all + head) * keys;
    const int64_t v = (row * all + head) * values;
    float *key = operation->k + k, *value = operation->v + v;
    prepare(heads, row, heads->q + q, operation->q + q, group, keys, heads->cosines, heads->sines);
    prepare(heads, row, heads->k + k, key, 1, keys, heads->cosines, heads->sines);
    prepare(heads, row, heads->v + v, value, 1, values, NULL, NULL);
    hold(cache, cache->keys, cache->key_scales, cache->place * count + place, key, keys);
    hold(cache, cache->values, cache->value_scales, cache->place * count + place, value, values);
    if (cache->sinks) {
        prepare(heads, row, heads->q + q, operation->sink_q + q, group, keys, heads->sink_cosines, heads->sink_sines);
    }
    // The kernel finds a head's queries and outputs at its place in the cache.
    const int64_t shift = (row * all + head - place) * group;
    const struct moult_attention job = {
        .batch = 1, .queries = 1, .keys = cache->held, .heads = count * group, .key_value_heads = count, .key_dim = keys,
        .value_dim = values, .window = cache->held - cache->sinks, .sinks = cache->sinks, .scale = heads->scale * cache->scale,
        .q = operation->q + shift * keys, .k = cache->keys, .v = cache->values,
        .sink_q = cache->sinks ? operation->sink_q + shift * keys : NULL, .out = heads->out + shift * values,
        .held_type = cache->type, .held_k = cache->keys, .held_v = cache->values, .k_scales = cache->key_scales,
        .v_scales = cache->value_scales};
    float *scratch = moult_scratch((size_t)moult_kernels()->attention_scratch(&job, 1) * sizeof(float));
    if (!scratch) return false;
    moult_kernels()->attention(&job, 0, place, 0, 1, 0, cache->held, scratch, NULL);
    return true;
}

struct moult_step_cache *moult_step_attention(struct moult_step *step, const struct moult_step_heads *heads) {
    struct operation *operation = append(step, heads);
    if (!operation) return NULL;
    operation->run = run_attention;
    operation->sink_q = step_memory(step, (size_t)(step->capacity * heads->heads * heads->key_dim) * sizeof(float));
    operation->caches = step_memory(step, (size_t)step->capacity * sizeof *operation->caches);
    return operation->sink_q ? operation->caches : NULL;
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
    if (join->window && join->set) {
        const int64_t group = join->heads / join->key_value_heads, width = group * join->value_dim;
        const float *share = join->share + task * __builtin_popcountll(join->set) * group;
        for (int64_t head = 0; head < join->key_value_heads; head++) {
            const float *window = join->window + at + head * width;
            if (join->set >> head & 1) {
                kernels->mix(window, x + head * width, share, values + head * width, group, join->value_dim);
                share += group;
            } else {
                memcpy(values + head * width, window, (size_t)width * sizeof(float));
            }
        }
    } else if (join->window) {
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
