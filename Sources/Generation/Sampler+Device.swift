import Models
import Tensors

/// Picking where the logits are, so that they need not travel.
extension Sampler {
    /// What a device picks by as ``sample(_:after:)-(UnsafeBufferPointer<Float>,_)`` does; nil where logits are biased, which are
    /// changed here.
    func choice(after recent: ArraySlice<Int32>) -> TokenChoice? {
        guard options.logitBias.isEmpty else { return nil }
        let isPenalised = options.repetitionPenalty != 1
        return TokenChoice(
            recent: isPenalised ? Array(recent.suffix(options.repetitionWindow)) : [],
            repetitionPenalty: options.repetitionPenalty, temperature: options.temperature, topK: options.topK,
            topP: options.topP, minP: options.minP, random: generatorState)
    }

    /// The token after sequence `row` of the last step: the one that was `picked` on its device by ``choice(after:)``, or else by
    /// its logits here.
    /// - Throws: ``GenerationError/nonFiniteLogits``.
    mutating func token(
        _ row: Int, of step: any DecodingStep, picked: [Int32?]?, after recent: ArraySlice<Int32>
    ) throws -> Int32 {
        guard let picked, options.logitBias.isEmpty else {
            return try step.withLogits(of: row) { try sample($0, after: recent) }
        }
        guard let token = picked[row] else { throw GenerationError.nonFiniteLogits }
        if options.temperature > 0 { skipNumber() }
        return token
    }
}
