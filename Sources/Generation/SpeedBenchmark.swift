import Models
import Tensors

/// Speed of reading and of generating, at chosen depths of context and numbers of sequences at once. What is timed does
/// not depend on the tokens, which are spread over the vocabulary and always the same.
public struct SpeedBenchmark: Sendable {
    /// What is measured.
    public enum Kind: Sendable, Equatable {
        /// Reading `batch` prompts of so many tokens at once in an empty context, up to the logits of their last tokens.
        case prefill(tokens: Int, batch: Int = 1)
        /// Generating with `batch` sequences at once, each with `depth` tokens behind it.
        case decode(depth: Int, batch: Int)
    }

    /// The speed of one kind of work.
    public struct Result: Sendable {
        /// What was measured.
        public let kind: Kind
        /// Tokens per second of every repetition, of all sequences together; warm-up excluded.
        public let rates: [Double]
        /// Bytes of one sequence's state afterwards.
        public let stateBytes: Int

        /// The median of the rates, tokens per second.
        public var median: Double {
            let sorted = rates.sorted()
            return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        }
        /// The mean of the rates, tokens per second.
        public var mean: Double { rates.reduce(0, +) / Double(rates.count) }
        /// The sample's standard deviation; 0 for one repetition.
        public var standardDeviation: Double {
            guard rates.count > 1 else { return 0 }
            let mean = mean
            return (rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rates.count - 1)).squareRoot()
        }

        /// A result of at least one repetition.
        public init(kind: Kind, rates: [Double], stateBytes: Int) {
            (self.kind, self.rates, self.stateBytes) = (kind, rates, stateBytes)
        }

        /// Bytes of weights per second that decoding reads at `rate` tokens per second, all weights once for the tokens of
        /// all sequences; nil for reading prompts.
        public func weightRate(_ rate: Double, weightBytes: Int) -> Double? {
            guard case .decode(_, let batch) = kind else { return nil }
            return rate / Double(batch) * Double(weightBytes)
        }
    }

    /// Bytes per second that the memory is known to give: those of a loop that only reads, or of decoding where that was
    /// faster. Decoding reads too, so that each of its repetitions shows what memory gives at least; the loop is timed at
    /// another moment, which on a machine with other work may be a worse one. A share of more than all of the memory's
    /// bandwidth would say no more than that.
    public static func bandwidth(measured: Double, _ results: [Result], weightBytes: Int) -> Double {
        results.reduce(measured) { most, result in
            result.rates.reduce(most) { max($0, result.weightRate($1, weightBytes: weightBytes) ?? 0) }
        }
    }

    /// Lengths of the prompts that are read, tokens.
    public var prefill: [Int]
    /// Tokens of context that are behind each sequence when decoding is timed.
    public var depths: [Int]
    /// Numbers of sequences that are decoded at once.
    public var batches: [Int]
    /// Tokens generated per sequence and repetition.
    public var decode: Int
    /// Repetitions of every measurement, after one to warm up.
    public var repeats: Int

    /// A benchmark of all combinations of `depths` and `batches`, and of every length of `prefill`.
    public init(prefill: [Int] = [512], depths: [Int] = [16], batches: [Int] = [1], decode: Int = 128, repeats: Int = 5)
    {
        (self.prefill, self.depths, self.batches) = (prefill, depths, batches)
        (self.decode, self.repeats) = (decode, repeats)
    }

    /// Tokens read and generated in all, for a progress bar.
    public func work(on device: Device) -> Int {
        let prompts = prefill.reduce(0, +) * (device.traits.readsInStep ? batches.reduce(0, +) : 1) * (repeats + 1)
        return prompts + (depths.max() ?? 0)
            + batches.reduce(0, +) * (decode + Self.before) * (repeats + 1) * depths.count
    }

    /// Tokens that every sequence reads before decoding is timed: states that are copied when written would be copied in the
    /// measurement, and a GPU computes the first kernel by kernel and records them with the second.
    private static let before = 2

    /// - Parameters:
    ///   - progress: called with the tokens done so far and what is being measured; throwing stops.
    ///   - emit: called with every result as it is there.
    public func run(
        _ model: DecoderModel, progress: (Int, Kind) throws -> Void = { _, _ in }, emit: (Result) throws -> Void
    ) throws {
        var done = 0
        func advance(_ tokens: Int, _ kind: Kind) throws {
            done += tokens
            try progress(done, kind)
        }
        // Sequences that are read side by side, where a device does that.
        for batch in model.device.traits.readsInStep ? batches : [1] {
            for tokens in prefill {
                let kind = Kind.prefill(tokens: tokens, batch: batch)
                let rates = try measure(batch * tokens) {
                    try time { try read(tokens, of: model, batch: batch) { try advance($0, kind) } }
                }
                try emit(Result(kind: kind, rates: rates, stateBytes: 0))
            }
        }
        // One session goes from depth to depth, and what is generated is a fork's.
        let session = try GenerationSession(model)
        for depth in depths.sorted() {
            let missing = depth - session.state.position
            if missing > 0 {
                let (kind, before) = (Kind.decode(depth: depth, batch: 1), done)
                try session.read(Self.tokens(missing, of: model)) { read, _ in try progress(before + read, kind) }
                done += missing
            }
            for batch in batches {
                let (step, kind) = (try model.makeStep(capacity: batch), Kind.decode(depth: depth, batch: batch))
                var bytes = 0
                let rates = try measure(batch * decode) {
                    let states = try (0..<batch).map { _ in try session.state.copy() }
                    var tokens = [Int32](repeating: 1, count: batch)
                    for _ in 0..<Self.before { tokens = try likeliest(after: tokens, states, step) }
                    let seconds = try time {
                        for _ in 0..<decode { tokens = try likeliest(after: tokens, states, step) }
                    }
                    bytes = states[0].byteCount
                    try advance(batch * (decode + Self.before), kind)
                    return seconds
                }
                try emit(Result(kind: kind, rates: rates, stateBytes: bytes))
            }
        }
    }

    /// Reads a token of each sequence and picks the next, as a ``Scheduler`` does.
    private func likeliest(
        after tokens: [Int32], _ states: [DecoderState], _ step: any DecodingStep
    ) throws -> [Int32] {
        try step.read(tokens, states: states)
        var sampler = try Sampler()
        let picked = try step.pick(.init(repeating: TokenChoice(), count: tokens.count))
        return try tokens.indices.map { row in
            try picked.map { try sampler.accept($0[row]) } ?? step.withLogits(of: row) { try sampler.sample($0) }
        }
    }

    /// Reads so many tokens of each of `batch` sequences, up to the logits of their last.
    private func read(
        _ count: Int, of model: DecoderModel, batch: Int, progress: (Int) throws -> Void
    ) throws {
        let tokens = Self.tokens(count, of: model)
        guard model.device.traits.readsInStep else {
            var last = 0
            return try GenerationSession(model).read(tokens) { read, _ in
                defer { last = read }
                try progress(read - last)
            }
        }
        let (state, length) = (try model.makeState(rows: batch), max(1, Self.together / batch))
        for start in stride(from: 0, to: count, by: length) {
            let part = Array(tokens[start..<min(start + length, count)])
            let logits = try model.nextLogits([[Int32]](repeating: part, count: batch), state: state)
            // Waits until they are read.
            _ = try logits.rows(0..<1).array(Float.self)
            try progress(part.count * batch)
        }
    }

    /// Tokens that are read in one call.
    private static let together = 1 << 15

    /// Tokens per second of every repetition of `body`, which returns its seconds, but the first.
    private func measure(_ tokens: Int, _ body: () throws -> Double) throws -> [Double] {
        _ = try body()
        return try (0..<repeats).map { _ in Double(tokens) / (try body()) }
    }

    private func time(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return start.duration(to: .now) / .seconds(1)
    }

    private static func tokens(_ count: Int, of model: DecoderModel) -> [Int32] {
        let vocabulary = model.configuration.decoder.vocabularySize
        return (0..<count).map { Int32(($0 &* 7919 &+ 11) % vocabulary) }
    }
}
