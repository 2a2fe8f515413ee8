#include "program/step.h"

// What a step does element by element, and to heads: one task per sequence.

/// A new operation of x and `out` that `run` does for one row.
static struct operation *append(
    struct moult_step *step, const struct moult_step_rows *x, struct moult_step_rows *out,
    bool (*run)(const struct operation *, int64_t, int64_t, int64_t)
) {
    struct operation *operation = step_append(step);
    if (!operation) return NULL;
    operation->tasks = step_task_per_row;
    operation->run = run;
    operation->x = x;
    operation->out = out;
    out->rounds = true;
    return operation;
}

/// The operation before, where it is `run` and has made x; else NULL.
static struct operation *maker(
    struct moult_step *step, const struct moult_step_rows *x, bool (*run)(const struct operation *, int64_t, int64_t, int64_t)
) {
    struct operation *last = step->count > 0 ? &step->operations[step->count - 1] : NULL;
    return last && last->run == run && last->out == x ? last : NULL;
}

static bool run_add(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    step_add(operation, task, 0, operation->sum->width);
    return true;
}

bool moult_step_add(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_rows *y, struct moult_step_rows *out
) {
    // A norm, or experts, after which the sum is done in passing.
    struct operation *operation = maker(step, y, step_norm);
    if (!operation) operation = maker(step, y, step_experts_outer);
    if (!operation || operation->addend) {
        operation = step_append(step);
        if (!operation) return false;
        operation->tasks = step_task_per_row;
        operation->run = run_add;
        operation->out = y;
    }
    operation->addend = x;
    operation->sum = out;
    out->rounds = true;
    return true;
}

static bool run_activated(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *x = operation->x, *up = operation->addend, *out = operation->out;
    const int64_t at = task * x->width;
    if (up) {
        moult_kernels()->gated(operation->activation, x->values + at, up->values + at, out->values + at, x->width);
    } else {
        moult_kernels()->activated(operation->activation, x->values + at, out->values + at, x->width);
    }
    step_round(out, task, 0, out->width);
    return true;
}

bool moult_step_activates(const struct moult_step *step, const struct moult_step_rows *x) {
    // A product of its own, which goes on with its outputs while they are at hand.
    const struct operation *last = step->count > 0 ? &step->operations[step->count - 1] : NULL;
    return last && x && last->run == step_multiply && last->product_count == 1 && !last->addend && last->cap == 0
        && last->products[0].out == x->values;
}

bool moult_step_activated(
    struct moult_step *step, enum moult_activation activation, const struct moult_step_rows *x,
    const struct moult_step_rows *up, struct moult_step_rows *out
) {
    if (!up && moult_step_activates(step, x)) {
        step_activate(&step->operations[step->count - 1], activation, out);
        return true;
    }
    struct operation *operation = append(step, x, out, run_activated);
    if (!operation) return false;
    operation->activation = activation;
    operation->addend = up;
    return true;
}

static bool run_scale(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *x = operation->x, *out = operation->out;
    moult_kernels()->scale(x->values + task * x->width, operation->number, out->values + task * x->width, x->width);
    step_round(out, task, 0, out->width);
    return true;
}

bool moult_step_scale(struct moult_step *step, const struct moult_step_rows *x, float factor, struct moult_step_rows *out) {
    struct operation *operation = append(step, x, out, run_scale);
    if (operation) operation->number = factor;
    return operation;
}

static bool run_log_gate(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *x = operation->x, *out = operation->out;
    moult_kernels()->log_gate(x->values + task * x->width, operation->number, out->values + task * x->width, x->width);
    step_round(out, task, 0, out->width);
    return true;
}

bool moult_step_log_gate(
    struct moult_step *step, const struct moult_step_rows *x, float divisor, struct moult_step_rows *out
) {
    struct operation *operation = append(step, x, out, run_log_gate);
    if (operation) operation->number = divisor;
    return operation;
}

static bool run_l2_norm(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *x = operation->x, *out = operation->out;
    const int64_t at = task * x->width;
    moult_kernels()->l2_norm(x->values + at, operation->number, out->values + at, operation->units, x->width / operation->units);
    step_round(out, task, 0, out->width);
    return true;
}

bool moult_step_l2_norm(
    struct moult_step *step, const struct moult_step_rows *x, float epsilon, int64_t dim, struct moult_step_rows *out
) {
    struct operation *operation = append(step, x, out, run_l2_norm);
    if (!operation) return false;
    operation->number = epsilon;
    operation->units = x->width / dim;
    return true;
}

static bool run_pointwise(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *out = operation->pointwise.out;
    if (!moult_pointwise_part(&operation->pointwise.expression, task * out->width, (task + 1) * out->width)) return false;
    step_round(out, task, 0, out->width);
    return true;
}

/// A copy of `count` elements that lives as long as the step.
static void *kept(struct moult_step *step, const void *elements, int64_t count, size_t size) {
    void *copy = moult_step_memory(step, (size_t)count * size);
    if (copy) memcpy(copy, elements, (size_t)count * size);
    return copy;
}

bool moult_step_pointwise(struct moult_step *step, const struct moult_step_pointwise *call) {
    struct operation *operation = append(step, NULL, (struct moult_step_rows *)call->out, run_pointwise);
    if (!operation) return false;
    operation->pointwise = *call;
    struct moult_pointwise *own = &operation->pointwise.expression;
    own->step = kept(step, own->step, own->steps, sizeof *own->step);
    own->input = kept(step, own->input, own->inputs, sizeof *own->input);
    own->result = kept(step, own->result, own->results, sizeof *own->result);
    return own->step && own->input && own->result;
}

// MARK: Heads

static bool run_rope(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_heads *heads = &operation->heads;
    const int64_t at = task * operation->x->width, angle = task * heads->cosines->width;
    moult_kernels()->rope(
        operation->x->values + at, heads->cosines->values + angle, heads->sines->values + angle, 1,
        operation->out->values + at, heads->heads, 2 * heads->cosines->width);
    step_round(operation->out, task, 0, operation->out->width);
    return true;
}

bool moult_step_rope(
    struct moult_step *step, const struct moult_step_rows *x, const struct moult_step_rows *cosines,
    const struct moult_step_rows *sines, int64_t heads, struct moult_step_rows *out
) {
    struct operation *operation = append(step, x, out, run_rope);
    if (!operation) return false;
    operation->heads = (struct moult_step_heads){.heads = heads, .cosines = cosines, .sines = sines};
    return true;
}

static bool run_copy(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const int64_t width = operation->units;
    const float *from = operation->x->values + task * operation->x->width;
    float *to = operation->out->values + task * operation->out->width;
    int64_t place = 0;
    for (uint64_t rest = operation->heads.set; rest; rest &= rest - 1, place++) {
        const int64_t head = __builtin_ctzll(rest);
        const int64_t source = operation->copies_back ? place : head, target = operation->copies_back ? head : place;
        memcpy(to + target * width, from + source * width, (size_t)width * sizeof(float));
    }
    return true;
}

bool moult_step_copy_heads(
    struct moult_step *step, const struct moult_step_rows *x, uint64_t set, int64_t width, bool back,
    struct moult_step_rows *out
) {
    const bool rounded = out->rounds;
    struct operation *operation = append(step, x, out, run_copy);
    if (!operation) return false;
    // Other operations may write the other heads.
    out->rounds = rounded;
    operation->heads.set = set;
    operation->units = width;
    operation->copies_back = back;
    return true;
}

// MARK: States

static bool run_gather(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *out = operation->out;
    memcpy(out->values + task * out->width, operation->places[task], (size_t)out->width * sizeof(float));
    return true;
}

bool moult_step_gather(struct moult_step *step, float **places, struct moult_step_rows *out) {
    struct operation *operation = append(step, NULL, out, run_gather);
    if (!operation) return false;
    out->rounds = false;
    operation->places = places;
    return true;
}

static bool run_scatter(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks) {
    (void)rows, (void)tasks;
    const struct moult_step_rows *x = operation->x;
    memcpy(operation->places[task], x->values + task * x->width, (size_t)x->width * sizeof(float));
    return true;
}

bool moult_step_scatter(struct moult_step *step, const struct moult_step_rows *x, float **places) {
    struct operation *operation = step_append(step);
    if (!operation) return false;
    operation->tasks = step_task_per_row;
    operation->run = run_scatter;
    operation->x = x;
    operation->places = places;
    return true;
}
