#include "program/step.h"

// Embeddings, norms and products of a step.

/// Outputs that a task takes at once: two tile rows of a quantised weight, a group of the next product's input.
enum { unit = 32, task_bytes = 524288, most_tasks_per_thread = 4 };

static inline int64_t share(int64_t units, int64_t task, int64_t tasks) { return units * task / tasks; }

// MARK: Rows

struct moult_step_rows *moult_step_make_rows(struct moult_step *step, int64_t width, float *values) {
    struct moult_step_rows *rows = moult_step_memory(step, sizeof *rows);
    if (!rows) return NULL;
    rows->width = width;
    rows->values = values;
    return rows;
}

void step_round(const struct moult_step_rows *x, int64_t row, int64_t first, int64_t count) {
    if (!x->codes) return;
    const int64_t at = row * x->width + first;
    moult_kernels()->round_rows(x->values + at, 1, count, x->codes + at, x->scales + at / 32, x->sums + at / 32);
}

static bool round_row(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    step_round(operation->x, task, 0, operation->x->width);
    return true;
}

bool moult_step_round(struct moult_step *step, struct moult_step_rows *x, int8_t *codes, float *scales, float *sums) {
    x->codes = codes;
    x->scales = scales;
    x->sums = sums;
    if (x->rounds) return true;
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = step_task_per_row;
    operation->run = round_row;
    operation->x = x;
    return true;
}

void step_add(const struct operation *operation, int64_t row, int64_t first, int64_t count) {
    if (!operation->addend) return;
    const struct moult_step_rows *sum = operation->sum;
    const int64_t at = row * sum->width + first;
    moult_kernels()->add(operation->addend->values + at, operation->out->values + at, sum->values + at, count);
    step_round(sum, row, first, count);
}

// MARK: Embedding

static bool embed(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_product *table = &operation->products[0];
    const int64_t width = operation->out->width;
    widen_table_row(table->weight, table->type, width, operation->tokens[task], operation->out->values + task * width);
    return true;
}

bool moult_step_embedding(
    struct moult_step *step, const int32_t *ids, const struct moult_product *table, struct moult_step_rows *out
) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = step_task_per_row;
    operation->run = embed;
    operation->tokens = ids;
    operation->products[0] = *table;
    operation->out = out;
    return true;
}

// MARK: Norm

bool step_norm(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *out = operation->out;
    const int64_t at = task * out->width;
    moult_kernels()->norm(&operation->norm, operation->x->values + at, out->values + at, out->width / operation->norm.dim);
    step_round(out, task, 0, out->width);
    step_add(operation, task, 0, out->width);
    return true;
}

bool moult_step_norm(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_norm *norm, struct moult_step_rows *out
) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = step_task_per_row;
    operation->run = step_norm;
    operation->x = x;
    operation->norm = *norm;
    operation->out = out;
    out->rounds = true;
    return true;
}

// MARK: Products

static inline int64_t units_of(const struct moult_product *product) { return divide_up(product->outputs, unit); }

static int64_t product_tasks(const struct operation *operation, int64_t rows, int64_t threads) {
    (void)rows;
    int64_t bytes = 0;
    for (int64_t p = 0; p < operation->product_count; p++) {
        const struct moult_product *product = &operation->products[p];
        bytes += moult_weight_bytes(product->type, product->outputs, operation->x->width);
    }
    int64_t tasks = divide_up(bytes, task_bytes);
    if (tasks > threads * most_tasks_per_thread) tasks = threads * most_tasks_per_thread;
    // A multiple of the threads, so that none waits for another's last task.
    tasks = divide_up(tasks, threads) * threads;
    return least(tasks, operation->units);
}

/// Output `output`, a multiple of `unit`, of a weight.
static const char *weights_from(const struct moult_product *product, int64_t inputs, int64_t output) {
    return (const char *)product->weight + moult_weight_bytes(product->type, output, inputs);
}

/// Outputs [begin, end) of one product of all rows; `begin` is a multiple of `unit`.
static bool product_part(
    const struct moult_step_rows *x, int64_t rows, const struct moult_product *product, int64_t begin, int64_t end, bool add
) {
    const struct moult_grouped grouped = {x->codes, x->scales, x->sums};
    return few_rows_product(
        x->values, &grouped, rows, x->width, product, begin / moult_tile_outputs, moult_tile_rows(end), add);
}

bool step_multiply(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    int64_t begin = share(operation->units, task, tasks), end = share(operation->units, task + 1, tasks);
    for (int64_t p = 0; p < operation->product_count && end > 0; p++) {
        const struct moult_product *product = &operation->products[p];
        const int64_t units = units_of(product), from = begin > 0 ? begin : 0, to = least(end, units);
        for (int64_t r = 0; from < to && operation->addend && r < rows; r++) {
            const int64_t at = r * product->outputs + from * unit;
            const int64_t count = least(to * unit, product->outputs) - from * unit;
            memcpy(product->out + at, operation->addend->values + at, (size_t)count * sizeof(float));
        }
        if (from < to
            && !product_part(
                operation->x, rows, product, from * unit, least(to * unit, product->outputs), operation->addend)) {
            return false;
        }
        for (int64_t r = 0; from < to && operation->cap > 0 && r < rows; r++) {
            float *out = product->out + r * product->outputs + from * unit;
            moult_kernels()->cap(out, operation->cap, out, least(to * unit, product->outputs) - from * unit);
        }
        begin -= units;
        end -= units;
    }
    return true;
}

static const char *multiplied_weights(const struct operation *operation, int64_t task, int64_t tasks, int64_t *bytes) {
    int64_t begin = share(operation->units, task, tasks);
    for (int64_t p = 0; p < operation->product_count; p++) {
        const struct moult_product *product = &operation->products[p];
        const int64_t units = units_of(product), inputs = operation->x->width;
        if (begin < units) {
            const char *weights = weights_from(product, inputs, begin * unit);
            *bytes = (const char *)product->weight + moult_weight_bytes(product->type, product->outputs, inputs) - weights;
            return weights;
        }
        begin -= units;
    }
    return NULL;
}

bool moult_step_linear(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_product *products, int64_t count,
    const struct moult_step_rows *addend, float cap
) {
    struct operation *operation = step_append(step);
    if (!operation || count > moult_step_most_products) return false;
    operation->tasks = product_tasks;
    operation->run = step_multiply;
    operation->weights = multiplied_weights;
    operation->x = x;
    operation->addend = addend;
    operation->cap = cap;
    operation->product_count = count;
    for (int64_t p = 0; p < count; p++) {
        operation->products[p] = products[p];
        operation->units += units_of(&products[p]);
    }
    return true;
}

// MARK: Gated products

bool step_multiply_gated(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    const struct moult_product *gate = &operation->products[0], *up = &operation->products[1];
    const struct moult_step_rows *out = operation->out;
    const bool has_up = operation->product_count > 1;
    const int64_t begin = share(operation->units, task, tasks) * unit;
    const int64_t end = least(share(operation->units, task + 1, tasks) * unit, out->width);
    if (begin >= end) return true;
    if (!product_part(operation->x, rows, gate, begin, end, false)) return false;
    if (has_up && !product_part(operation->x, rows, up, begin, end, false)) return false;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = r * out->width + begin;
        if (has_up) {
            moult_kernels()->gated(
                operation->activation, gate->out + at, up->out + at, out->values + at, end - begin);
        } else {
            moult_kernels()->activated(operation->activation, gate->out + at, out->values + at, end - begin);
        }
        step_round(out, r, begin, end - begin);
    }
    return true;
}

static const char *gated_weights(const struct operation *operation, int64_t task, int64_t tasks, int64_t *bytes) {
    const struct moult_product *gate = &operation->products[0];
    const int64_t begin = share(operation->units, task, tasks) * unit;
    const int64_t end = share(operation->units, task + 1, tasks) * unit;
    *bytes = moult_weight_bytes(gate->type, least(end, gate->outputs) - begin, operation->x->width);
    return weights_from(gate, operation->x->width, begin);
}

void step_activate(struct operation *operation, enum moult_activation activation, struct moult_step_rows *out) {
    operation->run = step_multiply_gated;
    operation->weights = gated_weights;
    operation->activation = activation;
    operation->out = out;
    out->rounds = true;
}

bool moult_step_gated_linear(
    struct moult_step *step, const struct moult_step_rows *x, enum moult_activation activation,
    const struct moult_product *gate, const struct moult_product *up, struct moult_step_rows *out
) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = product_tasks;
    operation->x = x;
    operation->product_count = 2;
    operation->products[0] = *gate;
    operation->products[1] = *up;
    operation->units = units_of(gate);
    step_activate(operation, activation, out);
    return true;
}
