import Tensors

/// A model's next-token step for several sequences at once, recorded for the CPU: what decoding runs. The time of a step
/// does not depend on how much a recurrent model has read. Sequences are independent; any of them may take part in any step.
public final class DecoderStep: DecodingStep {
    /// The model whose step this is.
    public let model: DecoderModel
    private let step: RecordedStep
    private let angles: StepAngles
    private let bindings: [StateBinding]
    /// Learned positions; nil where attention alone knows them.
    private let places: RecordedStep.Places?
    private let output: RecordedStep.Rows

    /// - Parameter capacity: the most sequences of one step.
    public init(_ model: DecoderModel, capacity: Int = 1) throws {
        guard !model.device.traits.readsInStep else {
            throw ModelError.input(
                expected: "a model on the processor, where sequences of different lengths decode together",
                found: "one on a GPU")
        }
        self.model = model
        step = try RecordedStep(capacity: capacity)
        angles = try StepAngles(step, model.positions)
        let run = StepRun(step, angles)
        let hidden = try model.hidden(run)
        (bindings, places) = (run.bindings, run.places)
        output = try step.logits(hidden, head: model.head, cap: model.logitCap)
    }

    /// The most sequences of one step.
    public var capacity: Int { step.capacity }
    /// The weights that a step reads, once for all sequences.
    public var weights: [Tensor] { step.weights }
    /// Their bytes.
    public var weightBytes: Int { step.weightBytes }

    /// Reads `tokens[i]` after what `states[i]` has seen; the states must be different ones.
    /// - Throws: ``ModelError`` for tokens and states that do not fit, before any state has changed; `TensorError` when
    ///   memory runs out or a state is that of a model of other dimensions, after which the states are undefined.
    public func read(_ tokens: [Int32], states: [DecoderState]) throws {
        try require(tokens, states)
        // Before any state has changed.
        for (row, state) in states.enumerated() { try places?.set(row: row, place: state.position) }
        for (row, state) in states.enumerated() {
            angles.set(row: row, position: state.position)
            for (layer, bind) in try zip(state.layers(), bindings) { try bind(layer, row) }
            state.position += 1
        }
        try step.run(tokens: tokens)
    }

    /// Calls `body` with the logits (vocabulary) of the token after the last one of sequence `row` of the last step.
    public func withLogits<Result>(
        of row: Int = 0, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try step.withRow(row, of: output, body)
    }
}
