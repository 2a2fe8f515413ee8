#include "include/moult_embedding.h"

#include "foundation/body.h"
#include "products/product.h"

struct gather {
    const int32_t *ids;
    const char *table;
    enum moult_type type;
    int64_t dim;
    float *out;
};

BODY(embedding_body) {
    JOB(gather);
    for (int64_t i = begin; i < end; i++) {
        widen_table_row(job->table, job->type, job->dim, job->ids[i], job->out + i * job->dim);
    }
}

void moult_embedding(
    const int32_t *ids, int64_t count, const void *table, enum moult_type type, int64_t dim, float *out
) {
    struct gather job = {ids, table, type, dim, out};
    moult_parallel_for(count, rows_per_chunk(dim), embedding_body, &job);
}

// MARK: The gradient

/// Columns of a table that one thread adds to.
enum { column_group = 64 };

struct scatter {
    const float *gradient;
    const int32_t *ids;
    int64_t count, dim;
    float *table;
};

/// `begin` and `end` count groups of columns: rows of one id are added in order.
BODY(gradient_body) {
    JOB(scatter);
    int64_t first = begin * column_group, last = end * column_group < job->dim ? end * column_group : job->dim;
    for (int64_t i = 0; i < job->count; i++) {
        moult_kernels()->add_scaled(
            job->gradient + i * job->dim + first, 1, job->table + job->ids[i] * job->dim + first, last - first);
    }
}

void moult_embedding_backward(const float *gradient, const int32_t *ids, int64_t count, int64_t dim, float *table) {
    struct scatter job = {gradient, ids, count, dim, table};
    moult_parallel_for((dim + column_group - 1) / column_group, 1, gradient_body, &job);
}
