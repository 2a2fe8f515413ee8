// The kernels of Gated Slot Attention: KERNEL(name, result, parameters) for each, read by instruction_sets.

// gated_slot_attention.inc
KERNEL(slot_recurrent_scratch, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_recurrent, void, (const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, float *scratch))
KERNEL(slot_span_scratch, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_span, void, (
    const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
    const float *boundary, float *scratch))
KERNEL(slot_advance_scratch, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_advance, void, (
    const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
    int64_t slot, int64_t count, float *boundaries, float *scratch))
KERNEL(slot_boundary, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_load_boundary, void, (
    const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, float *boundary))
KERNEL(slot_store_boundary, void, (
    const struct moult_gated_slot_attention *job, int64_t batch, int64_t head, const float *boundary))

// gated_slot_attention_backward.inc
KERNEL(slot_trace_size, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_recall_scratch, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_recall, void, (
    const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
    const float *boundary, float *trace, float *scratch))
KERNEL(slot_return_scratch, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_return, void, (
    const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, int64_t begin, int64_t end,
    const float *boundary, const float *trace, float *adjoint, float *scratch))
KERNEL(slot_adjoint, int64_t, (const struct moult_gated_slot_attention *job))
KERNEL(slot_load_adjoint, void, (
    const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, float *adjoint))
KERNEL(slot_store_adjoint, void, (
    const struct moult_gated_slot_attention_backward *job, int64_t batch, int64_t head, const float *adjoint))
