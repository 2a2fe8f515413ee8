import Tensors

/// What a mixer or an MLP gives in a recorded step: rows before the last product, which is done as it is added.
enum StepOutput {
    /// map(rows).
    case product(RecordedStep.Rows, Linear)
    /// Σ w · expert(input) over the experts of each row's `router` logits.
    case experts(Experts, input: RecordedStep.Rows, router: RecordedStep.Rows)
}
