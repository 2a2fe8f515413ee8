#include <pthread.h>
#include <stdlib.h>

#include "kernels.h"

// Freed when the thread ends, through the key's destructor.
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_status;
static _Thread_local void *memory;
static _Thread_local size_t capacity;

static void make_key(void) { key_status = pthread_key_create(&key, free); }

void *moult_scratch(size_t bytes) {
    if (bytes <= capacity) return memory;
    pthread_once(&once, make_key);
    if (key_status != 0) return NULL;
    size_t rounded = (bytes + 4095) / 4096 * 4096;
    void *fresh = NULL;
    if (posix_memalign(&fresh, 64, rounded) != 0) return NULL;
    if (pthread_setspecific(key, fresh) != 0) {
        free(fresh);
        return NULL;
    }
    free(memory);
    memory = fresh;
    capacity = rounded;
    return memory;
}
