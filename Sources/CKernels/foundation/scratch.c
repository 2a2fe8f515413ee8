#include "foundation/scratch.h"

#include <pthread.h>
#include <stdlib.h>

struct block {
    void *memory;
    size_t capacity;
};

struct blocks {
    struct block task, call;
};

// Freed when the thread ends, through the key's destructor.
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_status;
static _Thread_local struct blocks *mine;

static void release(void *pointer) {
    struct blocks *blocks = pointer;
    free(blocks->task.memory);
    free(blocks->call.memory);
    free(blocks);
}

static void make_key(void) { key_status = pthread_key_create(&key, release); }

/// The calling thread's blocks; NULL when memory is exhausted.
static struct blocks *thread_blocks(void) {
    if (mine) return mine;
    pthread_once(&once, make_key);
    if (key_status != 0) return NULL;
    struct blocks *fresh = calloc(1, sizeof *fresh);
    if (!fresh) return NULL;
    if (pthread_setspecific(key, fresh) != 0) {
        free(fresh);
        return NULL;
    }
    mine = fresh;
    return mine;
}

static void *reserve(struct block *block, size_t bytes) {
    if (bytes <= block->capacity) return block->memory;
    size_t rounded = (bytes + 4095) / 4096 * 4096;
    void *fresh = NULL;
    if (rounded < bytes || posix_memalign(&fresh, 64, rounded) != 0) return NULL;
    free(block->memory);
    block->memory = fresh;
    block->capacity = rounded;
    return fresh;
}

void *moult_scratch(size_t bytes) {
    struct blocks *blocks = thread_blocks();
    return blocks ? reserve(&blocks->task, bytes) : NULL;
}

float *moult_task_scratch(int64_t count, atomic_size_t *missing) {
    const size_t needed = (size_t)count * sizeof(float);
    float *scratch = moult_scratch(needed);
    if (!scratch) atomic_store(missing, needed);
    return scratch;
}

void *moult_call_scratch(size_t bytes) {
    struct blocks *blocks = thread_blocks();
    return blocks ? reserve(&blocks->call, bytes) : NULL;
}
