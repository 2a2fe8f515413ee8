// The kernel of the optimiser: KERNEL(name, result, parameters) for each, read by instruction_sets.

KERNEL(adam_w, void, (const struct moult_adam_w *step, int64_t begin, int64_t end))
