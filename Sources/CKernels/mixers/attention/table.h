// The kernels of softmax attention: KERNEL(name, result, parameters) for each, read by instruction_sets.

// attention.inc; the functions named ..._scratch say how many floats of scratch the next one needs.
KERNEL(attention_scratch, int64_t, (const struct moult_attention *job, int64_t tokens))
KERNEL(attention_partial, int64_t, (const struct moult_attention *job, int64_t tokens))
KERNEL(attention_block, void, (
    const struct moult_attention *job, int64_t batch, int64_t head, int64_t begin, int64_t end, int64_t first_key,
    int64_t last_key, float *scratch, float *partial))

// attention_backward.inc: a range goes through its queries by blocks of `tokens`. Sums take `..._row` floats a key.
KERNEL(attention_backward_row, int64_t, (const struct moult_attention *job))
KERNEL(attention_backward_scratch, int64_t, (const struct moult_attention *job, int64_t tokens))
KERNEL(attention_backward, void, (
    const struct moult_attention_backward *job, const struct moult_attention_range *range, int64_t tokens,
    float *scratch))
/// Adds up the sums of `count` ranges of one head for keys [begin, end).
KERNEL(attention_collect, void, (
    const struct moult_attention_backward *job, const struct moult_attention_range *ranges, int64_t count,
    int64_t begin, int64_t end))
