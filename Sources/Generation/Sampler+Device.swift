import Models
import Tensors

/// Picking where the logits are, so that they need not travel.
extension Sampler {
    /// What a device picks by as ``sample(_:after:)-(UnsafeBufferPointer<Float>,_)`` does; nil where single tokens are biased or
    /// penalised by how often they came, which is done here.
    func choice(after recent: ArraySlice<Int32>) -> TokenChoice? {
        guard options.logitBias.isEmpty, !options.penalisesGenerated else { return nil }
        let isPenalised = options.repetitionPenalty != 1
        return TokenChoice(
            recent: isPenalised ? Array(recent.suffix(options.repetitionWindow)) : [],
            repetitionPenalty: options.repetitionPenalty, temperature: options.temperature, topK: options.topK,
            topP: options.topP, minP: options.minP, random: generatorState)
    }

    /// The token that a device picked by ``choice(after:)``.
    /// - Throws: ``GenerationError/nonFiniteLogits`` for none.
    mutating func accept(_ picked: Int32?) throws -> Int32 {
        guard let picked else { throw GenerationError.nonFiniteLogits }
        if options.temperature > 0 { skipNumber() }
        return picked
    }
}
