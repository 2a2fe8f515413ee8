#ifndef MOULT_STEP_PRIVATE_H
#define MOULT_STEP_PRIVATE_H

#include <stdatomic.h>

#include "include/moult_grouped.h"
#include "include/moult_step.h"
#include "instruction_sets/kernels.h"
#include "products/product.h"

/// One operation, cut into tasks that any thread may take. A task never waits, and writes what no other task of its operation
/// touches.
struct operation {
    /// How many tasks the operation makes for so many rows.
    int64_t (*tasks)(const struct operation *operation, int64_t rows, int64_t threads);
    /// False without memory.
    bool (*run)(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks);
    /// Where a task starts to read weights, and how much of them; NULL where it reads none.
    const char *(*weights)(const struct operation *operation, int64_t task, int64_t tasks, int64_t *bytes);

    const struct moult_step_rows *x, *out;
    const struct moult_step_rows *addend, *sum;  // sum = addend + out, where there is one
    struct moult_product products[moult_step_most_products];
    int64_t product_count, units;
    float cap;  // of a product's results; 0 for none
    const int32_t *tokens;
    enum moult_activation activation;
    struct moult_norm norm;
    float number;  // an epsilon or a divisor
    float *row;    // (rows, out's width) of what an expert gives
    const struct moult_step_routes *routes;
    const struct moult_expert *experts;
    bool normalised;
    struct moult_step_heads heads;
    struct moult_step_join join;
    struct moult_step_cache *caches;
    const struct moult_step_rows *gates;
    int64_t slot_count;
    bool copies_back;
    float **slot_keys, **slot_values, **places;  // of every row
    struct moult_step_pointwise pointwise;
    struct moult_step_recurrence recurrence;
    float *q, *sink_q, *k, *v, *log_gates;  // a mixer's own copies of its inputs, turned and gated
    int64_t most_splits, partial_size;  // ranges that a head's keys are cut into, and floats of what one makes
    float *partials;                    // (tasks, partial_size)

    int64_t first, end;  // its tasks among those of the step, for the rows and threads of the current run
};

struct moult_step {
    int64_t capacity;
    struct operation *operations;
    int64_t count, room;
    void **blocks;
    int64_t block_count, block_room;

    int64_t rows, threads, total;  // of the current run
    _Alignas(64) _Atomic int64_t next;
    _Alignas(64) _Atomic int64_t done;
    atomic_bool failed;
};

/// A new last operation, all zero; NULL without memory.
struct operation *step_append(struct moult_step *step);

/// The `tasks` of operations that make one of every row.
int64_t step_task_per_row(const struct operation *operation, int64_t rows, int64_t threads);

/// sum = addend + out, elements [first, first + count) of one row, where the operation has an addend.
void step_add(const struct operation *operation, int64_t row, int64_t first, int64_t count);

/// What may be joined by what follows it; see step_elementwise.c.
bool step_norm(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks);
bool step_multiply(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks);
bool step_experts_outer(const struct operation *operation, int64_t rows, int64_t task, int64_t tasks);

/// Makes products those of a gate, or of what is activated alone, whose results are handed on in `out`.
void step_activate(struct operation *operation, enum moult_activation activation, struct moult_step_rows *out);

/// Rounds values [first, first + count) of one row where a quantised weight reads them.
void step_round(const struct moult_step_rows *x, int64_t row, int64_t first, int64_t count);

#endif
