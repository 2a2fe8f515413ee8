// Losses fused with the head, as Liger does (Hsu et al. 2024, arXiv 2410.10989): the logits of a block of rows are
// computed, turned into their own gradient in place, and multiplied back, before the next block's are.

#include <stdatomic.h>

#include "foundation/body.h"
#include "include/moult_losses.h"
#include "products/product.h"

// Rows whose logits are held at once, and the columns of the vocabulary that a tile of them covers.
enum { block_rows = 256, tile_rows = 128, tile_outputs = 512 };

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
    const float *weights;               // of the block's rows, or NULL
    float teacher_cap;
    struct moult_dense student, teacher;  // the products that give logits; the teacher's has no rows if there is none
    float *logits, *teacher_logits;     // (rows, stride)
    uint16_t *half;                     // the gradient in bfloat16, or NULL
    int64_t stride;
    struct part *parts;                 // (tiles across, rows)
    float *target_logits;               // (rows)
    struct softmax *rows;
    atomic_bool failed;
};

static void cap_tile(const struct moult_dense *tile, float cap) {
    for (int64_t r = 0; cap > 0 && r < tile->rows; r++) {
        float *row = tile->out + r * tile->out_row;
        moult_kernels()->cap(row, cap, row, tile->columns);
    }
}

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
        cap_tile(&tile, block->loss->cap);
        if (block->teacher.rows > 0) {
            struct moult_dense other = tile_of(block->teacher, row, tile_rows, output, tile_outputs);
            compute_product(&other, scratch);
            cap_tile(&other, block->teacher_cap);
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

static float weight_of(const struct block *block, int64_t r) { return block->weights ? block->weights[r] : 1; }

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
    const float weight = weight_of(block, r), scale = weight * block->loss->scale;
    block->rows[r] = (struct softmax){(float)(scale / sum), most, 0, 0};
    if (!taught) return block->targets[r] < 0 ? 0 : weight * (float)(log(sum) + most - block->target_logits[r]);
    block->rows[r].teacher_scale = (float)(scale / teacher_sum);
    block->rows[r].teacher_shift = teacher_most;
    return weight * (float)(difference / teacher_sum - (log(teacher_sum) + teacher_most) + (log(sum) + most));
}

/// Logits become the gradient with respect to them.
BODY(gradient_body) {
    (void)thread;
    struct block *block = context;
    const int64_t outputs = block->student.columns;
    const float cap = block->loss->cap;
    float capped[gradient_span];
    for (int64_t r = begin; r < end; r++) {
        float *row = block->logits + r * block->stride;
        const float *teacher = block->teacher.rows > 0 ? block->teacher_logits + r * block->stride : NULL;
        const struct softmax softmax = block->rows[r];
        const int64_t target = teacher ? -1 : block->targets[r];
        for (int64_t i = 0; i < outputs; i += gradient_span) {
            const int64_t some = least(outputs - i, gradient_span);
            if (cap > 0) memcpy(capped, row + i, (size_t)some * sizeof *row);
            if (!teacher && target < 0) {
                memset(row + i, 0, (size_t)some * sizeof *row);
            } else {
                moult_kernels()->softmax_gradient(
                    row + i, softmax.scale, softmax.shift, teacher ? teacher + i : NULL, softmax.teacher_scale,
                    softmax.teacher_shift, some);
            }
            if (target >= i && target < i + some) row[target] -= weight_of(block, r) * block->loss->scale;
            if (cap > 0) moult_kernels()->cap_backward(capped, cap, row + i, some);
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
    if (!moult_dense_product(&hidden)) return false;
    if (!loss->head_gradient) return true;
    const bool half = block->half && block->student.half;
    const struct moult_dense head = {
        .rows = outputs, .columns = inputs, .depth = rows, .a = block->logits, .half = half ? block->half : NULL,
        .a_row = 1, .a_depth = block->stride, .b = half ? (const void *)block->student.half : block->student.a,
        .type = half ? moult_bfloat16 : moult_float32, .b_depth = inputs, .b_column = 1, .add = true,
        .out = loss->head_gradient, .out_row = inputs};
    return moult_dense_product(&head);
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
    const float *hidden, const uint16_t *half, int64_t rows, int64_t inputs, const void *head, enum moult_type type,
    int64_t outputs, float *out, int64_t stride
) {
    return (struct moult_dense){
        .rows = rows, .columns = outputs, .depth = inputs, .a = hidden, .half = half, .a_row = inputs, .a_depth = 1,
        .b = head, .type = type, .b_depth = 1, .b_column = inputs, .out = out, .out_row = stride};
}

struct teacher {
    const float *hidden;
    const void *head;
    int64_t inputs;
    enum moult_type type;
    float cap;
};

/// Takes `bytes`, in whole cache lines, from the memory at `*next`; starting from 0, it only counts them.
static void *take(uintptr_t *next, int64_t bytes) {
    void *memory = (void *)*next;
    *next += (uintptr_t)divide_up(bytes, 64) * 64;
    return memory;
}

/// What a call holds: roundings of all rows, and the memory of one block.
struct memory {
    uint16_t *half, *teacher_half;
    struct block block;
};

static struct memory lay_out(const struct moult_loss *loss, const struct teacher *teacher, uintptr_t *next) {
    const int64_t rows = least(loss->rows, block_rows);
    // An odd number of cache lines, so that a column's rows do not fall into one set of the cache.
    const int64_t stride = divide_up(loss->outputs, 32) * 32 + 16;
    const bool half = loss->type == moult_bfloat16, teacher_half = teacher && teacher->type == moult_bfloat16;
    struct memory memory = {.block = {.loss = loss, .stride = stride}};
    memory.block.logits = take(next, rows * stride * 4);
    memory.block.parts = take(next, divide_up(loss->outputs, tile_outputs) * rows * (int64_t)sizeof(struct part));
    memory.block.rows = take(next, rows * (int64_t)sizeof(struct softmax));
    memory.block.target_logits = take(next, rows * 4);
    if (teacher) memory.block.teacher_logits = take(next, rows * stride * 4);
    if (half) memory.block.half = take(next, rows * stride * 2);
    if (half) memory.half = take(next, loss->rows * loss->inputs * 2);
    if (teacher_half) memory.teacher_half = take(next, loss->rows * teacher->inputs * 2);
    return memory;
}

static enum moult_status run(const struct moult_loss *loss, const int32_t *targets, const struct teacher *teacher) {
    if (loss->rows <= 0) return moult_success;
    uintptr_t bytes = 0;
    lay_out(loss, teacher, &bytes);
    uintptr_t next = (uintptr_t)moult_call_scratch(bytes);
    if (next == 0) return moult_out_of_memory;
    struct memory memory = lay_out(loss, teacher, &next);
    const uint16_t *half = round_to_half(loss->hidden, loss->rows * loss->inputs, memory.half);
    const uint16_t *teacher_half = teacher
        ? round_to_half(teacher->hidden, loss->rows * teacher->inputs, memory.teacher_half) : NULL;
    struct block block = memory.block;
    if (!half) block.half = NULL;
    for (int64_t row = 0; row < loss->rows; row += block_rows) {
        const int64_t some = least(loss->rows - row, block_rows), at = row * loss->inputs;
        block.targets = targets ? targets + row : NULL;
        block.weights = loss->weights ? loss->weights + row : NULL;
        block.student = logits_of(
            loss->hidden + at, half ? half + at : NULL, some, loss->inputs, loss->head, loss->type, loss->outputs,
            block.logits, block.stride);
        if (teacher) {
            const int64_t other = row * teacher->inputs;
            block.teacher_cap = teacher->cap;
            block.teacher = logits_of(
                teacher->hidden + other, teacher_half ? teacher_half + other : NULL, some, teacher->inputs,
                teacher->head, teacher->type, loss->outputs, block.teacher_logits, block.stride);
        }
        if (!run_block(&block, loss->losses + row, loss->hidden_gradient + at)) return moult_out_of_memory;
    }
    return moult_success;
}

enum moult_status moult_cross_entropy(const struct moult_loss *loss, const int32_t *targets) {
    return run(loss, targets, NULL);
}

enum moult_status moult_divergence(
    const struct moult_loss *loss, const float *teacher_hidden, int64_t teacher_inputs, const void *teacher_head,
    enum moult_type teacher_type, float teacher_cap
) {
    const struct teacher teacher = {teacher_hidden, teacher_head, teacher_inputs, teacher_type, teacher_cap};
    return run(loss, NULL, &teacher);
}
