import Tensors

/// A model's next-token step for several sequences at once, each at its own position: what decoding runs on every device. Any
/// sequences may take part in any step. What the step of a device records is recorded once, and serves whoever comes and goes.
public protocol DecodingStep: AnyObject {
    /// The model whose step this is.
    var model: DecoderModel { get }
    /// The most sequences of one step.
    var capacity: Int { get }

    /// Reads `tokens[i]` after what `states[i]` has seen; the states must be different ones, of one sequence each.
    /// - Throws: ``ModelError`` for tokens and states that do not fit, before any state has changed; `TensorError` when
    ///   memory runs out or a state is that of a model of other dimensions, after which the states are undefined.
    func read(_ tokens: [Int32], states: [DecoderState]) throws

    /// Calls `body` with the logits (vocabulary) of the token after the last one of sequence `row` of the last step.
    func withLogits<Result>(of row: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result

    /// Picks the tokens that follow those of the last step where the logits are, one choice for each sequence; nil for a sequence
    /// whose logits are not finite.
    /// - Returns: nil where logits are as near to the caller.
    func pick(_ choices: [TokenChoice]) throws -> [Int32?]?
}

extension DecodingStep {
    public func pick(_ choices: [TokenChoice]) throws -> [Int32?]? { nil }

    /// Fails where `tokens` and `states` do not fit.
    func require(_ tokens: [Int32], _ states: [DecoderState]) throws {
        guard tokens.count == states.count, (1...capacity).contains(tokens.count) else {
            throw ModelError.input(
                expected: "1 to \(capacity) tokens and as many states", found: "\(tokens.count) and \(states.count)")
        }
        try model.require(tokens)
        guard states.count == 1 || Set(states.map(ObjectIdentifier.init)).count == states.count else {
            throw ModelError.input(expected: "a state of its own for every sequence", found: "one state twice")
        }
        guard states.allSatisfy({ $0.layerCount == model.blocks.count }) else {
            throw ModelError.input(expected: "states of this model", found: "a state of another")
        }
        // What a step does serves for all positions and cannot say where they end.
        for state in states { try model.embedding.requirePlaces(for: state.position + 1) }
    }
}

extension DecoderModel {
    /// The step of the model on its device.
    /// - Parameter capacity: the most sequences of one step.
    public func makeStep(capacity: Int = 1) throws -> any DecodingStep {
        device.traits.recordsWork
            ? DeviceStep(self, capacity: capacity) : try DecoderStep(self, capacity: capacity)
    }
}
