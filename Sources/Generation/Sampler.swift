import CKernels
import Support
import Tensors

/// Picks the next token from logits as ``SamplingOptions`` says. A choice costs a few passes over the vocabulary and, but
/// for the first one, no memory.
public struct Sampler: Sendable {
    /// How tokens are picked.
    public let options: SamplingOptions
    private var generator: SplitMix64
    private var choice = WeightedChoice()
    /// Logits with bias and penalty.
    private var adjusted: [Float] = []
    /// Tokens that may be picked, and their logits.
    private var candidates: (tokens: [Int32], scores: [Float]) = ([], [])

    /// A sampler whose random numbers begin at `seed`: the same seed and logits give the same tokens.
    public init(_ options: SamplingOptions, seed: UInt64 = 0) {
        self.options = options
        generator = SplitMix64(seed: seed)
    }

    /// - Throws: ``GenerationError/option(name:expected:found:)`` when a value is out of range.
    public init(
        temperature: Float = 0, topK: Int? = nil, topP: Float = 1, minP: Float = 0, seed: UInt64 = 0
    ) throws {
        self.init(try SamplingOptions(temperature: temperature, topK: topK, topP: topP, minP: minP), seed: seed)
    }

    /// Where the random numbers stand: what sets it to another sampler's goes on as that one would.
    public var generatorState: UInt64 {
        get { generator.state }
        set { generator = SplitMix64(seed: newValue) }
    }

    /// Leaves out a random number, which was used elsewhere.
    mutating func skipNumber() { _ = generator.next() }

    /// Picks a token.
    /// - Parameters:
    ///   - logits: one per token of the vocabulary.
    ///   - recent: the last tokens of the sequence, for the repetition penalty.
    ///   - generated: how often each token was generated, for the penalties of frequency and presence.
    ///   - mask: the tokens that may be picked, at least one; nil for all. Top-k and top-p count among those alone.
    /// - Throws: ``GenerationError/nonFiniteLogits`` when no choice makes sense, and
    ///   ``GenerationError/option(name:expected:found:)`` when a biased token is not in the vocabulary.
    public mutating func sample(
        _ logits: UnsafeBufferPointer<Float>, after recent: ArraySlice<Int32> = [], generated: [Int32: Int] = [:],
        among mask: TokenMask? = nil
    ) throws -> Int32 {
        try withScores(logits, after: recent, generated) { scores, sampler in
            let best = try Self.largest(scores)
            guard let mask else { return Int32(try sampler.place(scores, best)) }
            // Moved out while they are read, so that the sampler can be written meanwhile.
            var candidates: (tokens: [Int32], scores: [Float]) = ([], [])
            swap(&candidates, &sampler.candidates)
            defer { swap(&candidates, &sampler.candidates) }
            candidates.tokens.removeAll(keepingCapacity: true)
            candidates.scores.removeAll(keepingCapacity: true)
            mask.forEach { token in
                guard token < scores.count else { return }
                candidates.tokens.append(Int32(token))
                candidates.scores.append(scores[token])
            }
            guard !candidates.tokens.isEmpty else { throw ConstraintError.deadEnd }
            let place = try candidates.scores.withUnsafeBufferPointer { try sampler.place($0, Self.largest($0)) }
            return candidates.tokens[place]
        }
    }

    /// Picks one of some scores, of which `best` is the largest.
    private mutating func place(
        _ scores: UnsafeBufferPointer<Float>, _ best: (place: Int, value: Float)
    ) throws -> Int {
        guard options.temperature > 0 else { return best.place }
        choice.weigh(scores, peak: best.value, options)
        return choice.draw(scores, at: generator.uniform()) ?? best.place
    }

    /// The same of a float32 tensor.
    public mutating func sample(_ logits: Tensor, after recent: ArraySlice<Int32> = []) throws -> Int32 {
        try logits.withElements(Float.self) { try sample($0, after: recent) }
    }

    /// The tokens that may be picked, ascending, and the probability of each.
    public mutating func distribution(
        _ logits: UnsafeBufferPointer<Float>, after recent: ArraySlice<Int32> = []
    ) throws -> [(token: Int32, probability: Double)] {
        try withScores(logits, after: recent) { scores, sampler in
            let best = try Self.largest(scores)
            guard sampler.options.temperature > 0 else { return [(Int32(best.place), 1)] }
            sampler.choice.weigh(scores, peak: best.value, sampler.options)
            return sampler.choice.kept(scores)
        }
    }

    /// The same of a float32 tensor.
    public mutating func distribution(
        _ logits: Tensor, after recent: ArraySlice<Int32> = []
    ) throws -> [(token: Int32, probability: Double)] {
        try logits.withElements(Float.self) { try distribution($0, after: recent) }
    }

    /// Calls `body` with the logits after bias and penalty.
    private mutating func withScores<Result>(
        _ logits: UnsafeBufferPointer<Float>, after recent: ArraySlice<Int32>, _ generated: [Int32: Int] = [:],
        _ body: (UnsafeBufferPointer<Float>, inout Sampler) throws -> Result
    ) throws -> Result {
        guard options.changesLogits else { return try body(logits, &self) }
        // Moved out while it is read, so that the sampler can be written meanwhile.
        var scores: [Float] = []
        swap(&scores, &adjusted)
        defer { swap(&scores, &adjusted) }
        try adjust(logits, into: &scores, after: recent, generated)
        return try scores.withUnsafeBufferPointer { try body($0, &self) }
    }

    private func adjust(
        _ logits: UnsafeBufferPointer<Float>, into scores: inout [Float], after recent: ArraySlice<Int32>,
        _ generated: [Int32: Int]
    ) throws {
        if scores.count != logits.count { scores = [Float](repeating: 0, count: logits.count) }
        scores.withUnsafeMutableBufferPointer { _ = $0.update(from: logits) }
        func biased(_ token: Int32) -> Float {
            // Far below every logit, and finite, so that damage to the logits still shows.
            logits[Int(token)] + max(options.logitBias[token] ?? 0, -1e30)
        }
        for token in options.logitBias.keys {
            guard logits.indices.contains(Int(token)) else {
                throw GenerationError.option(
                    name: "logitBias", expected: "token ids below \(logits.count)", found: "\(token)")
            }
            scores[Int(token)] = biased(token)
        }
        defer {
            for (token, count) in generated where logits.indices.contains(Int(token)) && count > 0 {
                scores[Int(token)] -= options.presencePenalty + options.frequencyPenalty * Float(count)
            }
        }
        guard options.repetitionPenalty != 1 else { return }
        // Computed from the logits and not from the scores, so that a token seen twice is penalised once.
        for token in recent.suffix(options.repetitionWindow) where logits.indices.contains(Int(token)) {
            let score = biased(token)
            scores[Int(token)] = score > 0 ? score / options.repetitionPenalty : score * options.repetitionPenalty
        }
    }

    /// The first largest score.
    private static func largest(_ scores: UnsafeBufferPointer<Float>) throws -> (place: Int, value: Float) {
        var (place, value) = (Int64(0), Float(0))
        guard let base = scores.baseAddress, moult_largest(base, Int64(scores.count), &place, &value) else {
            throw GenerationError.nonFiniteLogits
        }
        return (Int(place), value)
    }
}
