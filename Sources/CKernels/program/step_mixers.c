#include "program/step.h"

#include "include/moult_general_delta.h"
#include "include/moult_recurrence.h"
#include "mixers/recurrence/columns.h"

// The mixers of a step: one task per sequence and key/value head, or several where a head holds many keys.

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
    const struct moult_step_rows *cosines, const struct moult_step_rows *sines
) {
    const struct moult_kernels *kernels = moult_kernels();
    if (cosines) {
        const int64_t angle = row * (dim / 2);
        kernels->rope(x, cosines->values + angle, sines->values + angle, 1, out, count, dim);
    } else if (heads->silu) {
        kernels->activated(moult_silu, x, out, count * dim);
    } else {
        memcpy(out, x, (size_t)(count * dim) * sizeof(float));
    }
}

/// An operation over heads, with its own copies of k, v and, `copies` times, of the queries of one key/value head; NULL
/// without memory.
static struct operation *append(struct moult_step *step, const struct moult_step_heads *heads, int64_t copies) {
    struct operation *operation = step_append(step);
    if (!operation) return NULL;
    const int64_t all = heads->key_value_heads;
    const size_t keys = (size_t)(step->capacity * heads->key_dim), values = (size_t)(step->capacity * heads->value_dim);
    operation->heads = *heads;
    operation->tasks = one_per_head;
    operation->q = moult_step_memory(step, (size_t)(copies * heads->heads / all * heads->key_dim) * sizeof(float));
    operation->k = moult_step_memory(step, keys * (size_t)all * sizeof(float));
    operation->v = moult_step_memory(step, values * (size_t)all * sizeof(float));
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
    prepare(heads, row, heads->q->values + q, operation->q + q, group, keys, heads->cosines, heads->sines);
    prepare(heads, row, heads->k->values + k, operation->k + k, 1, keys, heads->cosines, heads->sines);
    prepare(heads, row, heads->v->values + v, operation->v + v, 1, values, NULL, NULL);
    moult_kernels()->log_gate(operation->gates->values + f, operation->number, operation->log_gates + f, slots);
    const struct moult_gated_slot_attention job = {
        .batch = 1, .tokens = 1, .heads = group, .key_value_heads = 1, .key_dim = keys, .value_dim = values,
        .slots = slots, .scale = heads->scale, .q = operation->q + q, .k = operation->k + k, .v = operation->v + v,
        .log_gates = operation->log_gates + f, .slot_keys = operation->slot_keys[row] + state * keys,
        .slot_values = operation->slot_values[row] + state * values,
        .out = heads->out->values + (row * all + head) * group * values};
    float *scratch = moult_scratch((size_t)moult_kernels()->slot_recurrent_scratch(&job) * sizeof(float));
    if (!scratch) return false;
    moult_kernels()->slot_recurrent(&job, 0, 0, scratch);
    return true;
}

bool moult_step_gated_slots(
    struct moult_step *step, const struct moult_step_heads *heads, const struct moult_step_rows *gates, float divisor,
    int64_t slots, float **keys, float **values
) {
    struct operation *operation = append(step, heads, step->capacity * heads->key_value_heads);
    if (!operation) return false;
    operation->run = run_slots;
    operation->gates = gates;
    operation->number = divisor;
    operation->slot_count = slots;
    operation->slot_keys = keys;
    operation->slot_values = values;
    const size_t count = (size_t)(step->capacity * head_count(heads) * slots);
    operation->log_gates = moult_step_memory(step, count * sizeof(float));
    return operation->log_gates;
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

/// Most tasks that heads whose keys are cut into ranges make together, where the heads alone are not as many.
enum { most_split_tasks = 64 };

/// Ranges that each head's keys are cut into: heads that hold many keys are few, and threads would wait for one.
static int64_t split_count(const struct operation *operation, int64_t rows, int64_t threads) {
    const int64_t heads = rows * head_count(&operation->heads), wanted = divide_up(2 * threads, heads);
    const int64_t splits = least(wanted, least(operation->most_splits, most_split_tasks / heads));
    return splits < 1 ? 1 : splits;
}

static int64_t attention_tasks(const struct operation *operation, int64_t rows, int64_t threads) {
    return rows * head_count(&operation->heads) * split_count(operation, rows, threads);
}

/// Of `splits` ranges those that are worth it while `held` keys are held.
static int64_t splits_in_use(int64_t splits, int64_t held) {
    splits = least(splits, held / attention_split_keys);
    return splits < 1 ? 1 : splits;
}

/// One range of the keys of one head: the new key and value are put into the one that has their place.
static bool run_attention(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    const struct moult_step_heads *heads = &operation->heads;
    const int64_t all = heads->key_value_heads, group = heads->heads / all;
    const int64_t count = head_count(heads), split = task / (rows * count), row = task / count % rows, place = task % count;
    const int64_t head = head_at(heads, place), keys = heads->key_dim, values = heads->value_dim;
    const struct moult_step_cache *cache = &operation->caches[row];
    const int64_t splits = splits_in_use(tasks / (rows * count), cache->held);
    if (split >= splits) return true;
    const int64_t first = cache->held * split / splits, last = cache->held * (split + 1) / splits;
    if (cache->place >= first && cache->place < last) {
        const int64_t k = (row * all + head) * keys, v = (row * all + head) * values;
        float *key = operation->k + k, *value = operation->v + v;
        prepare(heads, row, heads->k->values + k, key, 1, keys, heads->cosines, heads->sines);
        prepare(heads, row, heads->v->values + v, value, 1, values, NULL, NULL);
        hold(cache, cache->keys, cache->key_scales, cache->place * count + place, key, keys);
        hold(cache, cache->values, cache->value_scales, cache->place * count + place, value, values);
    }
    // Only the first range has sinks. Each has its own copy of the queries.
    const int64_t sinks = split == 0 ? cache->sinks : 0, from = (row * all + head) * group * keys, to = task * group * keys;
    prepare(heads, row, heads->q->values + from, operation->q + to, group, keys, heads->cosines, heads->sines);
    if (sinks) {
        prepare(heads, row, heads->q->values + from, operation->sink_q + to, group, keys, heads->sink_cosines, heads->sink_sines);
    }
    // The kernel finds a head's queries and outputs at its place in the cache.
    const int64_t queries = (task - place) * group * keys;
    const struct moult_attention job = {
        .batch = 1, .queries = 1, .keys = cache->held, .heads = count * group, .key_value_heads = count, .key_dim = keys,
        .value_dim = values, .window = cache->held - cache->sinks, .sinks = sinks, .scale = heads->scale * cache->scale,
        .cap = heads->cap,
        .q = operation->q + queries, .k = cache->keys, .v = cache->values,
        .sink_q = sinks ? operation->sink_q + queries : NULL,
        .out = heads->out->values + (row * all + head - place) * group * values, .held_type = cache->type, .held_k = cache->keys,
        .held_v = cache->values, .k_scales = cache->key_scales, .v_scales = cache->value_scales};
    float *scratch = moult_scratch((size_t)moult_kernels()->attention_scratch(&job, 1) * sizeof(float));
    if (!scratch) return false;
    moult_kernels()->attention_block(
        &job, 0, place, 0, 1, first, last, scratch,
        splits > 1 ? operation->partials + task * operation->partial_size : NULL);
    return true;
}

static int64_t merge_tasks(const struct operation *operation, int64_t rows, int64_t threads) {
    return split_count(operation, rows, threads) > 1 ? rows * head_count(&operation->heads) : 0;
}

/// Joins the ranges of one head, which the operation before has made.
static bool run_merge(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    const struct operation *attention = operation - 1;
    const struct moult_step_heads *heads = &operation->heads;
    const int64_t all = heads->key_value_heads, group = heads->heads / all, values = heads->value_dim;
    const int64_t count = head_count(heads), row = task / count, head = head_at(heads, task % count);
    const int64_t made = (attention->end - attention->first) / (rows * count);
    const int64_t splits = splits_in_use(made, operation->caches[row].held);
    const int64_t stride = (operation->partial_size - 2 * group) / group;
    for (int64_t g = 0; g < group && splits > 1; g++) {
        attention_merge(
            operation->partials + task * operation->partial_size, splits, tasks * operation->partial_size, group, stride, g,
            heads->out->values + ((row * all + head) * group + g) * values, values);
    }
    return true;
}

bool moult_step_attention(
    struct moult_step *step, const struct moult_step_heads *heads, int64_t most, struct moult_step_cache *caches
) {
    const int64_t group = heads->heads / heads->key_value_heads, splits = most / attention_split_keys;
    int64_t tasks = step->capacity * head_count(heads);
    if (splits > 1 && tasks < most_split_tasks) tasks = most_split_tasks;
    struct operation *operation = append(step, heads, tasks);
    if (!operation) return false;
    operation->run = run_attention;
    operation->tasks = attention_tasks;
    operation->caches = caches;
    operation->most_splits = splits;
    operation->sink_q = moult_step_memory(step, (size_t)(tasks * group * heads->key_dim) * sizeof(float));
    if (!operation->sink_q || splits < 2) return operation->sink_q;

    const struct moult_attention job = {.heads = group, .key_value_heads = 1, .value_dim = heads->value_dim};
    operation->partial_size = moult_kernels()->attention_partial(&job, 1);
    operation->partials = moult_step_memory(step, (size_t)(tasks * operation->partial_size) * sizeof(float));
    if (!operation->partials) return false;
    const struct operation merge = *operation;
    operation = step_append(step);
    if (!operation) return false;
    *operation = merge;
    operation->run = run_merge;
    operation->tasks = merge_tasks;
    return true;
}

// MARK: Recurrences

static int64_t recurrence_tasks(const struct operation *operation, int64_t rows, int64_t threads) {
    const struct moult_step_recurrence *call = &operation->recurrence;
    const int64_t heads = rows * call->key_value_heads;
    return heads < threads ? heads * divide_up(call->value_dim, moult_column_part) : heads;
}

/// The columns of one head's state, or some of them.
static bool run_recurrence(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    const struct moult_step_recurrence *call = &operation->recurrence;
    const int64_t all = rows * call->key_value_heads, parts = tasks / all, head = task / parts;
    const int64_t row = head / call->key_value_heads, place = head % call->key_value_heads;
    const int64_t width = parts > 1 ? moult_column_part : call->value_dim, column = task % parts * width;
    const int64_t columns = least(width, call->value_dim - column);
    const int64_t keys = row * call->key_value_heads * call->key_dim, values = row * call->key_value_heads * call->value_dim;
    const float *q = call->q->values + row * call->heads * call->key_dim;
    const float *log_decays = call->log_decays->values + row * call->key_value_heads * call->decay_dim;
    float *out = call->out->values + row * call->heads * call->value_dim;
    if (call->a) {
        const struct moult_general_delta job = {
            .batch = 1, .tokens = 1, .heads = call->heads, .key_value_heads = call->key_value_heads,
            .key_dim = call->key_dim, .value_dim = call->value_dim, .scale = call->scale, .q = q,
            .k = call->k->values + keys, .v = call->v->values + values, .log_decays = log_decays,
            .a = call->a->values + keys, .b = call->b->values + keys, .state = call->states[row], .out = out};
        float *scratch = moult_scratch((size_t)moult_kernels()->general_delta_step_scratch(&job) * sizeof(float));
        if (scratch) moult_kernels()->general_delta_steps(&job, 0, place, column, columns, scratch);
        return scratch;
    }
    const struct moult_recurrence job = {
        .batch = 1, .tokens = 1, .heads = call->heads, .key_value_heads = call->key_value_heads, .key_dim = call->key_dim,
        .value_dim = call->value_dim, .decay_dim = call->decay_dim, .scale = call->scale, .q = q,
        .k = call->k->values + keys, .v = call->v->values + values, .log_decays = log_decays,
        .betas = call->betas ? call->betas->values + row * call->key_value_heads : NULL, .state = call->states[row],
        .out = out};
    float *scratch = moult_scratch((size_t)moult_kernels()->recurrence_step_scratch(&job) * sizeof(float));
    if (scratch) moult_kernels()->recurrence_steps(&job, 0, place, column, columns, scratch);
    return scratch;
}

bool moult_step_recurrence(struct moult_step *step, const struct moult_step_recurrence *call) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = recurrence_tasks;
    operation->run = run_recurrence;
    operation->recurrence = *call;
    return true;
}

// MARK: Joining the heads

static bool run_join(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_join *join = &operation->join;
    const struct moult_step_rows *out = operation->out;
    const struct moult_kernels *kernels = moult_kernels();
    const int64_t at = task * out->width;
    const float *x = join->x->values + at;
    float *values = out->values + at;
    if (join->window && join->set) {
        const int64_t group = join->heads / join->key_value_heads, width = group * join->value_dim;
        const float *share = join->share->values + task * __builtin_popcountll(join->set) * group;
        for (uint64_t rest = join->set; rest; rest &= rest - 1) {
            const int64_t head = __builtin_ctzll(rest) * width;
            kernels->mix(join->window->values + at + head, x + head, share, values + head, group, join->value_dim);
            share += group;
        }
    } else if (join->window) {
        kernels->mix(
            join->window->values + at, x, join->share->values + task * join->heads, values, join->heads, join->value_dim);
    } else if (join->silu) {
        kernels->activated(moult_silu, x, values, out->width);
    }
    if (join->norm_weight) {
        const struct moult_norm norm = {.dim = out->width, .epsilon = join->norm_epsilon, .weight = join->norm_weight};
        kernels->norm(&norm, values, values, 1);
    }
    step_round(out, task, 0, out->width);
    return true;
}

bool moult_step_join(struct moult_step *step, const struct moult_step_join *join, struct moult_step_rows *out) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = step_task_per_row;
    operation->run = run_join;
    operation->join = *join;
    operation->out = out;
    out->rounds = true;
    return true;
}
