import Tensors

/// A model's next-token step for several sequences at once, on a GPU. All of its kernels are recorded and started by one call.
/// Time and memory of a step do not depend on how much a recurrent model has read.
///
/// A sequence that takes part has a row of the step's own memory, to which its state is moved, and from which it is moved back when
/// somebody else wants it: to read a prompt, to save or to fork it. Rows are as many as the least power of two that serves.
public final class DeviceStep: DecodingStep {
    public let model: DecoderModel
    public let capacity: Int
    /// By their rows.
    private var slots: [Int: DeviceSlots] = [:]
    /// The rows of the last step, and for how many steps fewer would have done.
    private var (size, spare) = (0, 0)
    /// Where the sequences of the last step are.
    private var last: (slots: DeviceSlots, places: [Int])?
    /// Steps with fewer sequences after which the rows become fewer: to move all of them takes as long as a few steps.
    private static let patience = 32

    /// - Parameter capacity: the most sequences of one step.
    init(_ model: DecoderModel, capacity: Int) { (self.model, self.capacity) = (model, max(1, capacity)) }

    public func read(_ tokens: [Int32], states: [DecoderState]) throws {
        try require(tokens, states)
        for state in states {
            guard state.rows == 1, state.position < Int32.max else {
                throw ModelError.input(
                    expected: "sequences of at most \(Int32.max) tokens, one a state",
                    found: "\(state.rows) of \(state.position)")
            }
        }
        let rows = rows(for: states.count)
        let slots = try self.slots[rows] ?? DeviceSlots(model, rows: rows)
        self.slots[rows] = slots
        last = nil
        last = (slots, try slots.read(tokens, states: states))
    }

    private func rows(for count: Int) -> Int {
        var least = 1
        while least < count { least *= 2 }
        least = min(least, capacity)
        spare = least < size ? spare + 1 : 0
        if least > size || spare > Self.patience { (size, spare) = (least, 0) }
        return size
    }

    public func withLogits<Result>(
        of row: Int = 0, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) throws -> Result {
        guard let last else { throw ModelError.input(expected: "a step that was done", found: "none") }
        return try last.slots.logits(last.places[row]).withElements(Float.self, body)
    }

    public func pick(_ choices: [TokenChoice]) throws -> [Int32?]? {
        guard let last, choices.count == last.places.count else {
            throw ModelError.input(
                expected: "as many choices as sequences of the last step, \(last?.places.count ?? 0)",
                found: "\(choices.count)")
        }
        return try last.slots.pick(choices, places: last.places)
    }
}

extension DecoderModel {
    /// Bytes of weights that a step reads, once for all sequences.
    public var stepWeightBytes: Int {
        parameters.byteCount - (configuration.decoder.tiedEmbeddings ? 0 : embedding.table.byteCount)
    }
}
