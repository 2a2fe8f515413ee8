#ifndef MOULT_RECURRENCE_COLUMNS_H
#define MOULT_RECURRENCE_COLUMNS_H

#include <stdint.h>

#include "foundation/numbers.h"
#include "include/moult_pool.h"

enum {
    moult_column_part = 64,     // columns of a task: as many as the widest kernel takes at once
    moult_step_work = 1 << 14,  // multiplications worth a hand-off to other threads
};

/// How the columns of the states of `heads` heads, which do not touch each other, are shared among threads.
struct moult_column_parts {
    int64_t count, width;  // of a head's parts; of a part, of which the last may be narrower
    int64_t tasks, grain;  // of all heads; handed off at once
};

/// - Parameter work: multiplications of all.
static inline struct moult_column_parts moult_column_parts(int64_t heads, int64_t value_dim, int64_t work) {
    struct moult_column_parts parts = {.count = 1, .width = value_dim};
    if (heads < moult_thread_count()) {
        parts.width = moult_column_part;
        parts.count = divide_up(value_dim, moult_column_part);
    }
    parts.tasks = heads * parts.count;
    parts.grain = work < moult_step_work ? parts.tasks : 1;
    return parts;
}

#endif
