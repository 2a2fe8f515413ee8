// Losses fused with the head, as Liger does (Hsu et al. 2024, arXiv 2410.10989): the logits of a block of rows are
// computed, turned into their own gradient in place, and multiplied back, before the next block's are.

#include <stdatomic.h>

#include "body.h"
#include "include/moult_training.h"
#include "product.h"

// Rows whose logits are held at once, and the columns of the vocabulary that a tile of them covers.
enum { block_rows = 256, tile_rows = 128, tile_outputs = 512, gradient_rows = 64, gradient_columns = 192 };

/// Columns that a row's gradient is computed in at a time, to be rounded while they are in the L1 cache.
enum { gradient_span = 2048 };

/// What a tile knows of a row's softmax: its largest logit, the sum of exp(logit - largest), the same of the teacher, and
/// the sum of exp(teacher's logit - largest) · (teacher's logit - logit).
struct part {
    float values[5];
};

/// What a row's gradient is computed from: scale · exp(logit - shift) for student and teacher.
struct softmax {
    float scale, shift, teacher_scale, teacher_shift;
};

struct block {
    const struct moult_loss *loss;
    const int32_t *targets;             // of the block's rows; NULL with a teacher
    struct moult_dense student, teacher;  // the products that give the logits; the teacher's has no rows if there is none
    float *logits, *teacher_logits;     // (rows, stride)
    uint16_t *half;                     // the gradient in bfloat16, or NULL
    int64_t stride;
    struct part *parts;                 // (tiles across, rows)
    float *target_logits;               // (rows)
    struct softmax *rows;
    atomic_bool failed;
};

BODY(logits_body) {
    (void)thread;
    struct block *block = context;
    float *scratch = moult_scratch(moult_dense_scratch);
    if (!scratch) {
        atomic_store(&block->failed, true);
        return;
    }
    const int64_t down = divide_up(block->student.rows, tile_rows);
    for (int64_t t = begin; t < end; t++) {
        const int64_t row = t % down * tile_rows, across = t / down, output = across * tile_outputs;
        struct moult_dense tile = tile_of(block->student, row, tile_rows, output, tile_outputs);
        compute_product(&tile, scratch);
        if (block->teacher.rows > 0) {
            struct moult_dense other = tile_of(block->teacher, row, tile_rows, output, tile_outputs);
            compute_product(&other, scratch);
        }
        for (int64_t r = 0; r < tile.rows; r++) {
            float *values = block->parts[across * block->student.rows + row + r].values;
            const int64_t at = (row + r) * block->stride + output;
            if (block->teacher.rows > 0) {
                moult_kernels()->divergence(block->logits + at, block->teacher_logits + at, tile.columns, values);
            } else {
                moult_kernels()->log_sum_exp(block->logits + at, tile.columns, &values[0], &values[1]);
                const int64_t target = block->targets[row + r] - output;
                if (target >= 0 && target < tile.columns) block->target_logits[row + r] = block->logits[at + target];
            }
        }
    }
}

/// The loss of row `r` from its tiles, and what its gradient needs.
static float finish_row(struct block *block, int64_t r) {
    const int64_t across = divide_up(block->student.columns, tile_outputs), rows = block->student.rows;
    const bool taught = block->teacher.rows > 0;
    float most = -INFINITY, teacher_most = -INFINITY;
    for (int64_t t = 0; t < across; t++) {
        const float *values = block->parts[t * rows + r].values;
        most = fmaxf(most, values[0]);
        if (taught) teacher_most = fmaxf(teacher_most, values[2]);
    }
    double sum = 0, teacher_sum = 0, difference = 0;
    for (int64_t t = 0; t < across; t++) {
        const float *values = block->parts[t * rows + r].values;
        sum += values[1] * exp((double)values[0] - most);
        if (!taught) continue;
        const double factor = exp((double)values[2] - teacher_most);
        teacher_sum += values[3] * factor;
        difference += values[4] * factor;
    }
    const float scale = block->loss->scale;
    block->rows[r] = (struct softmax){(float)(scale / sum), most, 0, 0};
    if (!taught) return block->targets[r] < 0 ? 0 : (float)(log(sum) + most - block->target_logits[r]);
    block->rows[r].teacher_scale = (float)(scale / teacher_sum);
    block->rows[r].teacher_shift = teacher_most;
    return (float)(difference / teacher_sum - (log(teacher_sum) + teacher_most) + (log(sum) + most));
}

/// Logits become the gradient with respect to them.
BODY(gradient_body) {
    (void)thread;
    struct block *block = context;
    const int64_t outputs = block->student.columns;
    for (int64_t r = begin; r < end; r++) {
        float *row = block->logits + r * block->stride;
        const float *teacher = block->teacher.rows > 0 ? block->teacher_logits + r * block->stride : NULL;
        const struct softmax softmax = block->rows[r];
        const int64_t target = teacher ? -1 : block->targets[r];
        for (int64_t i = 0; i < outputs; i += gradient_span) {
            const int64_t some = least(outputs - i, gradient_span);
            if (!teacher && target < 0) {
                memset(row + i, 0, (size_t)some * sizeof *row);
            } else {
                moult_kernels()->softmax_gradient(
                    row + i, softmax.scale, softmax.shift, teacher ? teacher + i : NULL, softmax.teacher_scale,
                    softmax.teacher_shift, some);
            }
            if (target >= i && target < i + some) row[target] -= block->loss->scale;
            if (block->half) {
                moult_kernels()->narrow(row + i, moult_bfloat16, block->half + r * block->stride + i, some);
            }
        }
    }
}

/// Multiplies the gradient of the block's logits back.
static bool multiply_back(const struct block *block, float *hidden_gradient) {
    const struct moult_loss *loss = block->loss;
    const int64_t rows = block->student.rows, inputs = loss->inputs, outputs = loss->outputs;
    const struct moult_dense hidden = {
        .rows = rows, .columns = inputs, .depth = outputs, .a = block->logits, .half = block->half,
        .a_row = block->stride, .a_depth = 1, .b = loss->head, .type = loss->type, .b_depth = inputs, .b_column = 1,
        .out = hidden_gradient, .out_row = inputs};
    if (!moult_tiled_product(&hidden, gradient_rows, gradient_columns)) return false;
    if (!loss->head_gradient) return true;
    const bool half = block->half && block->student.half;
    const struct moult_dense head = {
        .rows = outputs, .columns = inputs, .depth = rows, .a = block->logits, .half = half ? block->half : NULL,
        .a_row = 1, .a_depth = block->stride, .b = half ? (const void *)block->student.half : block->student.a,
        .type = half ? moult_bfloat16 : moult_float32, .b_depth = inputs, .b_column = 1, .add = true,
        .out = loss->head_gradient, .out_row = inputs};
    return moult_tiled_product(&head, 4 * gradient_rows, gradient_columns);
}

static bool run_block(struct block *block, float *losses, float *hidden_gradient) {
    const int64_t across = divide_up(block->student.columns, tile_outputs);
    moult_parallel_for(divide_up(block->student.rows, tile_rows) * across, 1, logits_body, block);
    if (atomic_load(&block->failed)) return false;
    for (int64_t r = 0; r < block->student.rows; r++) losses[r] = finish_row(block, r);
    moult_parallel_for(block->student.rows, 1, gradient_body, block);
    return multiply_back(block, hidden_gradient);
}

/// The product that gives logits, in rows `stride` apart.
static struct moult_dense logits_of(
    const float *hidden, uint16_t *half, int64_t rows, int64_t inputs, const void *head, enum moult_type type,
    int64_t outputs, float *out, int64_t stride
) {
    return (struct moult_dense){
        .rows = rows, .columns = outputs, .depth = inputs, .a = hidden, .half = half, .a_row = inputs, .a_depth = 1,
        .b = head, .type = type, .b_depth = 1, .b_column = inputs, .out = out, .out_row = stride};
}

static float *reserve(int64_t count) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, (size_t)count * sizeof(float)) == 0 ? memory : NULL;
}

struct teacher {
    const float *hidden;
    const void *head;
    int64_t inputs;
    enum moult_type type;
};

static enum moult_status run(const struct moult_loss *loss, const int32_t *targets, const struct teacher *teacher) {
    if (loss->rows <= 0) return moult_success;
    const int64_t rows = least(loss->rows, block_rows), across = divide_up(loss->outputs, tile_outputs);
    // An odd number of cache lines, so that a column's rows do not fall into one set of the cache.
    const int64_t stride = divide_up(loss->outputs, 32) * 32 + 16;
    uint16_t *half = loss->type == moult_bfloat16 ? round_to_half(loss->hidden, loss->rows * loss->inputs) : NULL;
    uint16_t *teacher_half = teacher && teacher->type == moult_bfloat16
        ? round_to_half(teacher->hidden, loss->rows * teacher->inputs) : NULL;
    float *logits = reserve(rows * stride), *teacher_logits = teacher ? reserve(rows * stride) : NULL;
    float *gradient_half = half ? reserve(rows * stride / 2) : NULL;
    struct part *parts = malloc((size_t)(across * rows) * sizeof *parts);
    struct softmax *softmaxes = malloc((size_t)rows * sizeof *softmaxes);
    float *target_logits = reserve(rows);
    bool done = logits && parts && softmaxes && target_logits && !(teacher && !teacher_logits);
    for (int64_t row = 0; done && row < loss->rows; row += block_rows) {
        const int64_t some = least(loss->rows - row, block_rows);
        struct block block = {
            .loss = loss, .targets = targets ? targets + row : NULL, .logits = logits, .teacher_logits = teacher_logits,
            .half = (uint16_t *)gradient_half, .stride = stride, .parts = parts, .target_logits = target_logits,
            .rows = softmaxes,
            .student = logits_of(
                loss->hidden + row * loss->inputs, half ? half + row * loss->inputs : NULL, some, loss->inputs,
                loss->head, loss->type, loss->outputs, logits, stride)};
        if (teacher) {
            block.teacher = logits_of(
                teacher->hidden + row * teacher->inputs, teacher_half ? teacher_half + row * teacher->inputs : NULL,
                some, teacher->inputs, teacher->head, teacher->type, loss->outputs, teacher_logits, stride);
        }
        done = run_block(&block, loss->losses + row, loss->hidden_gradient + row * loss->inputs);
    }
    free(half);
    free(teacher_half);
    free(logits);
    free(teacher_logits);
    free(gradient_half);
    free(parts);
    free(softmaxes);
    free(target_logits);
    return done ? moult_success : moult_out_of_memory;
}

enum moult_status moult_cross_entropy(const struct moult_loss *loss, const int32_t *targets) {
    return run(loss, targets, NULL);
}

enum moult_status moult_divergence(
    const struct moult_loss *loss, const float *teacher_hidden, int64_t teacher_inputs, const void *teacher_head,
    enum moult_type teacher_type
) {
    const struct teacher teacher = {teacher_hidden, teacher_head, teacher_inputs, teacher_type};
    return run(loss, NULL, &teacher);
}
