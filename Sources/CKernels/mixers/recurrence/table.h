// The kernels of gated linear recurrences: KERNEL(name, result, parameters) for each, read by instruction_sets.

// recurrence.inc
KERNEL(recurrence_step_scratch, int64_t, (const struct moult_recurrence *job))
KERNEL(recurrence_steps, void, (
    const struct moult_recurrence *job, int64_t batch, int64_t head, int64_t column, int64_t width, float *scratch))

// recurrence_block.inc
KERNEL(recurrence_span_scratch, int64_t, (const struct moult_recurrence *job))
KERNEL(recurrence_span, void, (
    const struct moult_recurrence *job, int64_t batch, int64_t head, int64_t column, int64_t width, float *scratch))

// recurrence_backward.inc
KERNEL(recurrence_blocks, int64_t, (const struct moult_recurrence *job, int64_t *starts))
KERNEL(recurrence_trace, int64_t, (const struct moult_recurrence *job))
KERNEL(recurrence_backward_scratch, int64_t, (const struct moult_recurrence *job, int64_t blocks, int64_t stored))
KERNEL(recurrence_backward, void, (
    const struct moult_recurrence_backward *job, int64_t batch, int64_t head, const int64_t *starts, int64_t blocks,
    int64_t stored, float *scratch))

// general_delta.inc
KERNEL(general_delta_step_scratch, int64_t, (const struct moult_general_delta *job))
KERNEL(general_delta_steps, void, (
    const struct moult_general_delta *job, int64_t batch, int64_t head, int64_t column, int64_t width, float *scratch))
KERNEL(general_delta_backward_scratch, int64_t, (const struct moult_general_delta *job))
KERNEL(general_delta_backward, void, (
    const struct moult_general_delta_backward *job, int64_t batch, int64_t head, float *scratch))
