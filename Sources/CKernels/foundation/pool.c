#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "include/moult_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "foundation/spin.h"

// One job at a time. `state` holds the number of workers inside the job (low bits), whether it may be joined, and its
// generation. A worker joins by adding one to an open state; the caller closes the job once every chunk is taken and
// then waits only for those that joined, so that a worker that never got a processor delays nobody.

enum { most_threads = 256 };
static const uint64_t open_bit = 1 << 16, generation_step = 1 << 17, inside_mask = (1 << 16) - 1;

static struct {
    _Alignas(64) _Atomic uint64_t state;
    _Alignas(64) _Atomic int64_t next;
    _Alignas(64) moult_body body;
    void *context;
    int64_t count, chunk;
    atomic_bool busy;
    _Atomic int limit;     // threads in use, the caller included; 0 until first asked for
    _Atomic int sleeping;  // workers waiting on `wake`
    int workers;           // started, guarded by `busy`
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside_body;

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int moult_thread_limit(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) cores = CPU_COUNT(&allowed);
#endif
    if (cores < 1) cores = 1;
    return cores > most_threads ? most_threads : (int)cores;
}

static int default_threads(void) {
    int cores = moult_thread_limit();
    const char *text = getenv("MOULT_THREADS");
    if (text && *text) {
        char *end;
        long asked = strtol(text, &end, 10);
        if (*end == 0 && asked >= 1) {
            if (asked < cores) cores = (int)asked;
        } else {
            fprintf(stderr, "warning: MOULT_THREADS=%s is not a positive number; ignored\n", text);
        }
    }
    return cores;
}

int moult_thread_count(void) {
    int count = atomic_load_explicit(&pool.limit, memory_order_relaxed);
    if (count > 0) return count;
    int fresh = default_threads(), unset = 0;
    return atomic_compare_exchange_strong(&pool.limit, &unset, fresh) ? fresh : unset;
}

void moult_set_threads(int count) {
    if (count < 1) count = default_threads();
    atomic_store(&pool.limit, count > most_threads ? most_threads : count);
}

static void run_chunks(int thread) {
    inside_body = true;
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool.next, pool.chunk, memory_order_relaxed);
        if (begin >= pool.count) break;
        int64_t end = pool.count - begin < pool.chunk ? pool.count : begin + pool.chunk;
        pool.body(pool.context, begin, end, thread);
    }
    inside_body = false;
}

static bool joinable(uint64_t state, uint64_t seen, int index) {
    return (state & open_bit) && state / generation_step != seen && index < atomic_load(&pool.limit);
}

/// Waits for a job that this worker has not seen: spinning for some tens of microseconds, then asleep.
static uint64_t wait_for_job(uint64_t seen, int index) {
    uint64_t state;
    int64_t start = nanoseconds();
    do {
        for (int i = 0; i < 64; i++) {
            state = atomic_load_explicit(&pool.state, memory_order_acquire);
            if (joinable(state, seen, index)) return state;
            relax();
        }
    } while (nanoseconds() - start < 50000);
    pthread_mutex_lock(&pool.mutex);
    atomic_fetch_add(&pool.sleeping, 1);
    while (!joinable(state = atomic_load(&pool.state), seen, index)) pthread_cond_wait(&pool.wake, &pool.mutex);
    atomic_fetch_sub(&pool.sleeping, 1);
    pthread_mutex_unlock(&pool.mutex);
    return state;
}

static void *worker(void *argument) {
    int index = (int)(intptr_t)argument;
    uint64_t seen = 0;
    for (;;) {
        uint64_t state = wait_for_job(seen, index);
        if (!atomic_compare_exchange_strong(&pool.state, &state, state + 1)) continue;
        seen = state / generation_step;
        run_chunks(index);
        atomic_fetch_sub_explicit(&pool.state, 1, memory_order_release);
    }
    return NULL;
}

/// Starts missing workers; the pool works with as many as the system grants. `busy` is held.
static void start_workers(int wanted) {
    static bool refused = false;
    while (pool.workers < wanted && !refused) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, (void *)(intptr_t)(pool.workers + 1)) != 0) {
            refused = true;
            break;
        }
        pthread_detach(thread);
        pool.workers++;
    }
}

void moult_parallel_for(int64_t count, int64_t grain, moult_body body, void *context) {
    if (count <= 0) return;
    if (grain < 1) grain = 1;
    int threads = moult_thread_count();
    if (threads == 1 || count <= grain || inside_body || atomic_exchange(&pool.busy, true)) {
        body(context, 0, count, 0);
        return;
    }
    start_workers(threads - 1);

    // Four chunks a thread even out threads of unequal speed.
    int64_t chunk = (count + threads * 4 - 1) / (threads * 4);
    pool.chunk = chunk > grain ? chunk : grain;
    pool.count = count;
    pool.body = body;
    pool.context = context;
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    uint64_t generation = atomic_load_explicit(&pool.state, memory_order_relaxed) / generation_step + 1;
    atomic_store(&pool.state, generation * generation_step | open_bit);
    if (atomic_load(&pool.sleeping) > 0) {
        pthread_mutex_lock(&pool.mutex);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.mutex);
    }

    run_chunks(0);
    uint64_t state = atomic_fetch_and(&pool.state, ~open_bit);
    for (int spins = 0; (state & inside_mask) != 0; spins++) {
        if (spins < 20000) relax(); else sched_yield();
        state = atomic_load_explicit(&pool.state, memory_order_acquire);
    }
    atomic_store_explicit(&pool.busy, false, memory_order_release);
}
