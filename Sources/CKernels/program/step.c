#include "program/step.h"

#include <sched.h>
#include <stdlib.h>

#include "include/moult_pool.h"
#include "foundation/spin.h"

// The tasks of all operations are numbered one after the other. A thread takes the next number, waits until every task of the
// operations before it is done, and runs it: two counters order the whole step, threads that come late join where the others
// are, and a thread that waits knows which weights it will read and fetches them meanwhile.

static void *grow(void *memory, int64_t *room, int64_t count, size_t size) {
    if (count < *room) return memory;
    int64_t wanted = *room ? *room * 2 : 64;
    void *fresh = realloc(memory, (size_t)wanted * size);
    if (fresh) *room = wanted;
    return fresh;
}

struct moult_step *moult_step_create(int64_t rows) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, sizeof(struct moult_step)) != 0) return NULL;
    struct moult_step *step = memory;
    memset(step, 0, sizeof *step);
    step->capacity = rows;
    return step;
}

void moult_step_destroy(struct moult_step *step) {
    if (!step) return;
    for (int64_t i = 0; i < step->block_count; i++) free(step->blocks[i]);
    free(step->blocks);
    free(step->operations);
    free(step);
}

void *moult_step_memory(struct moult_step *step, size_t bytes) {
    void **blocks = grow(step->blocks, &step->block_room, step->block_count, sizeof *blocks), *memory = NULL;
    if (!blocks) return NULL;
    step->blocks = blocks;
    size_t rounded = (bytes + 127) / 64 * 64;
    if (rounded < bytes || posix_memalign(&memory, 64, rounded) != 0) return NULL;
    memset(memory, 0, rounded);
    blocks[step->block_count++] = memory;
    return memory;
}

struct operation *step_append(struct moult_step *step) {
    struct operation *operations = grow(step->operations, &step->room, step->count, sizeof *operations);
    if (!operations) return NULL;
    step->operations = operations;
    struct operation *fresh = &operations[step->count++];
    memset(fresh, 0, sizeof *fresh);
    step->rows = 0;
    return fresh;
}

int64_t step_task_per_row(const struct operation *operation, int64_t rows, int64_t threads) {
    (void)operation, (void)threads;
    return rows;
}

/// Waits until the operations before `operation` are done, fetching the weights of `task` meanwhile.
static void await(struct moult_step *step, const struct operation *operation, int64_t task) {
    enum { fetch_most = 32768, fetch_lines = 8 };
    if (atomic_load_explicit(&step->done, memory_order_acquire) >= operation->first) return;
    int64_t bytes = 0;
    const char *weights = operation->weights
        ? operation->weights(operation, task, operation->end - operation->first, &bytes) : NULL;
    if (bytes > fetch_most) bytes = fetch_most;
    int64_t fetched = 0;
    for (int64_t spins = 0; atomic_load_explicit(&step->done, memory_order_acquire) < operation->first; spins++) {
        for (int line = 0; line < fetch_lines && fetched < bytes; line++, fetched += 64) {
            __builtin_prefetch(weights + fetched, 0, 2);
        }
        if (spins > 500) sched_yield(); else if (fetched >= bytes) relax();
    }
}

static void run_tasks(void *context, int64_t begin, int64_t end, int thread) {
    (void)begin, (void)end, (void)thread;
    struct moult_step *step = context;
    const struct operation *operation = step->operations;
    for (;;) {
        const int64_t ticket = atomic_fetch_add_explicit(&step->next, 1, memory_order_relaxed);
        if (ticket >= step->total) return;
        while (ticket >= operation->end) operation++;
        const int64_t task = ticket - operation->first;
        await(step, operation, task);
        if (!operation->run(operation, step->rows, task, operation->end - operation->first)) {
            atomic_store_explicit(&step->failed, true, memory_order_relaxed);
        }
        atomic_fetch_add_explicit(&step->done, 1, memory_order_release);
    }
}

bool moult_step_is_empty(const struct moult_step *step) { return step->count == 0; }

enum moult_status moult_step_run(struct moult_step *step, int64_t rows) {
    const int64_t threads = moult_thread_count();
    if (rows != step->rows || threads != step->threads) {
        step->rows = rows;
        step->threads = threads;
        step->total = 0;
        for (int64_t i = 0; i < step->count; i++) {
            struct operation *operation = &step->operations[i];
            operation->first = step->total;
            step->total += operation->tasks(operation, rows, threads);
            operation->end = step->total;
        }
    }
    atomic_store_explicit(&step->next, 0, memory_order_relaxed);
    atomic_store_explicit(&step->done, 0, memory_order_relaxed);
    atomic_store_explicit(&step->failed, false, memory_order_relaxed);
    // One call per thread: each runs until no task is left.
    moult_parallel_for(threads, 1, run_tasks, step);
    return atomic_load(&step->failed) ? moult_out_of_memory : moult_success;
}
