#include "include/moult_experts.h"
#include "program/step.h"

// A mixture of experts in a step: every row has experts of its own, so that each product is of one row.

/// Outputs that a task takes at once, as in step_products.c.
enum { unit = 32 };

static bool route(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_routes *routes = operation->routes;
    moult_route_row(
        operation->x->values + task * operation->x->width, operation->x->width, routes->active, operation->normalised,
        routes->chosen + task * routes->active, routes->shares + task * routes->active);
    return true;
}

const struct moult_step_routes *moult_step_route(
    struct moult_step *step, const struct moult_step_rows *logits, int64_t active, bool normalised
) {
    struct moult_step_routes *routes = moult_step_memory(step, sizeof *routes);
    struct operation *operation = step_append(step);
    if (!routes || !operation) return NULL;
    routes->active = active;
    routes->chosen = moult_step_memory(step, (size_t)(step->capacity * active) * sizeof *routes->chosen);
    routes->shares = moult_step_memory(step, (size_t)(step->capacity * active) * sizeof *routes->shares);
    operation->tasks = step_task_per_row;
    operation->run = route;
    operation->x = logits;
    operation->routes = routes;
    operation->normalised = normalised;
    return routes->chosen && routes->shares ? routes : NULL;
}

/// Elements [at, at + width) of x, as one row of a product.
static struct moult_grouped grouped_at(const struct moult_step_rows *x, int64_t at) {
    if (!x->codes) return (struct moult_grouped){0};
    return (struct moult_grouped){x->codes + at, x->scales + at / moult_group_inputs, x->sums + at / moult_group_inputs};
}

/// Outputs [begin, end) of a product of one row; `begin` is a multiple of `unit`.
static bool row_part(
    const struct moult_step_rows *x, int64_t at, int64_t inputs, struct moult_product product, float *out, int64_t begin,
    int64_t end
) {
    const struct moult_grouped grouped = grouped_at(x, at);
    product.out = out;
    return few_rows_product(
        x->values + at, &grouped, 1, inputs, &product, begin / moult_tile_outputs, moult_tile_rows(end), false);
}

static int64_t parts_of(int64_t outputs, int64_t products, int64_t threads) {
    const int64_t units = divide_up(outputs, unit), wanted = divide_up(4 * threads, products);
    return least(units, wanted < 1 ? 1 : wanted);
}

static int64_t part_begin(int64_t outputs, int64_t part, int64_t parts) {
    return least(divide_up(outputs, unit) * part / parts * unit, outputs);
}

static int64_t inner_tasks(const struct operation *operation, int64_t rows, int64_t threads) {
    const int64_t pairs = rows * operation->routes->active;
    return pairs * parts_of(operation->out->width / operation->routes->active, pairs, threads);
}

/// act(gate) · up of one row and one of its experts.
static bool run_inner(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    const struct moult_step_routes *routes = operation->routes;
    const struct moult_step_rows *x = operation->x, *out = operation->out;
    const int64_t pairs = rows * routes->active, pair = task % pairs, parts = tasks / pairs;
    const int64_t row = pair / routes->active, width = out->width / routes->active, at = pair * width;
    const int64_t begin = part_begin(width, task / pairs, parts), end = part_begin(width, task / pairs + 1, parts);
    if (begin >= end) return true;
    const struct moult_expert *expert = &operation->experts[routes->chosen[pair]];
    float *gate = operation->row + at, *up = operation->q + at;
    if (!row_part(x, row * x->width, x->width, expert->gate, gate, begin, end)) return false;
    if (!row_part(x, row * x->width, x->width, expert->up, up, begin, end)) return false;
    moult_kernels()->gated(operation->activation, gate + begin, up + begin, out->values + at + begin, end - begin);
    step_round(out, row, pair % routes->active * width + begin, end - begin);
    return true;
}

static int64_t outer_tasks(const struct operation *operation, int64_t rows, int64_t threads) {
    (void)rows;
    return parts_of(operation->out->width, 1, threads);
}

/// Some of the outputs of all rows: their experts' in the order of their weights.
bool step_experts_outer(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    const struct moult_step_routes *routes = operation->routes;
    const struct moult_step_rows *x = operation->x, *out = operation->out;
    const int64_t width = x->width / routes->active;
    const int64_t begin = part_begin(out->width, task, tasks), end = part_begin(out->width, task + 1, tasks);
    for (int64_t row = 0; begin < end && row < rows; row++) {
        float *given = operation->row + row * out->width, *sum = out->values + row * out->width;
        memset(sum + begin, 0, (size_t)(end - begin) * sizeof *sum);
        for (int64_t pair = row * routes->active; pair < (row + 1) * routes->active; pair++) {
            const struct moult_expert *expert = &operation->experts[routes->chosen[pair]];
            if (!row_part(x, pair * width, width, expert->down, given, begin, end)) return false;
            moult_kernels()->add_scaled(given + begin, routes->shares[pair], sum + begin, end - begin);
        }
        step_add(operation, row, begin, end - begin);
    }
    return true;
}

bool moult_step_experts_inner(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_routes *routes,
    const struct moult_expert *experts, int64_t count, enum moult_activation activation, struct moult_step_rows *inner
) {
    struct moult_expert *own = moult_step_memory(step, (size_t)count * sizeof *own);
    const size_t between = (size_t)(step->capacity * inner->width) * sizeof(float);
    float *gates = moult_step_memory(step, between), *ups = moult_step_memory(step, between);
    struct operation *operation = step_append(step);
    if (!own || !gates || !ups || !operation) return false;
    memcpy(own, experts, (size_t)count * sizeof *own);
    operation->tasks = inner_tasks;
    operation->run = run_inner;
    operation->x = x;
    operation->out = inner;
    inner->rounds = true;
    operation->routes = routes;
    operation->experts = own;
    operation->activation = activation;
    operation->row = gates;
    operation->q = ups;
    return true;
}

bool moult_step_experts_outer(struct moult_step *step, const struct moult_step_rows *inner, struct moult_step_rows *out) {
    float *row = moult_step_memory(step, (size_t)(step->capacity * out->width) * sizeof(float));
    struct operation *operation = step_append(step);
    if (!row || !operation || step->count < 2) return false;
    operation->tasks = outer_tasks;
    operation->run = step_experts_outer;
    operation->x = inner;
    operation->out = out;
    operation->routes = operation[-1].routes;
    operation->experts = operation[-1].experts;
    operation->row = row;
    return true;
}
