import Tensors

/// A model's next-token step for several sequences at once, captured for the processor: what decoding runs. The time of a step
/// does not depend on how much a recurrent model has read. Sequences are independent; any of them may take part in any step.
public final class DecoderStep: DecodingStep {
    /// The model whose step this is.
    public let model: DecoderModel
    private let step: CapturedStep
    private let angles: StepAngles
    /// Tokens (R, 1) and, where positions are learned, where they stand (R), int32.
    private let ids, positions: Tensor
    /// What stands for the states of the layers.
    private let layers: [any MixerState]
    /// (R, vocabulary).
    private let logits: CapturedResult

    /// - Parameter capacity: the most sequences of one step, R.
    public init(_ model: DecoderModel, capacity: Int = 1) throws {
        guard !model.device.traits.readsInStep else {
            throw ModelError.input(
                expected: "a model on the processor, where sequences of different lengths decode together",
                found: "one on a GPU")
        }
        self.model = model
        step = try CapturedStep(capacity: capacity)
        (ids, positions) = (try step.input([capacity, 1], .int32), try step.input([capacity], .int32))
        angles = try StepAngles(step, model.positions)
        layers = try model.makeState().layers().map { [step] in try $0.captured(in: step) }
        var context = MixerContext(turns: angles.turns, documents: nil)
        context.recordedPositions = positions
        logits = try step.result(
            model.hidden(DecoderRun(ids: ids, context, states: layers)).tensor()
                .logits(head: model.head, cap: model.logitCap))
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
        for (row, state) in states.enumerated() {
            try step.update(ids, row: row) { $0[0] = tokens[row] }
            try step.update(positions, row: row) { $0[0] = Int32(truncatingIfNeeded: state.position) }
            try angles.set(row: row, position: state.position)
            for (layer, place) in try zip(state.layers(), layers) { try layer.bind(to: place, row: row) }
            state.position += 1
        }
        try step.run(rows: tokens.count)
    }

    /// Calls `body` with the logits (vocabulary) of the token after the last one of sequence `row` of the last step.
    public func withLogits<Result>(
        of row: Int = 0, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try logits.withRow(row, body)
    }
}
