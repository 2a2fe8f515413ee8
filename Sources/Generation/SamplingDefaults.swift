import Checkpoints
import Support

/// How a model's makers would have its tokens chosen, where nobody says otherwise: generation_config.json.
public struct SamplingDefaults: Sendable, Equatable {
    /// What logits are divided by; 0 always picks the most likely token.
    public var temperature: Float = 0
    /// How many of the most likely tokens may be picked; nil for all.
    public var topK: Int?
    /// The probability that the most likely tokens that may be picked have together; 1 for all.
    public var topP: Float = 1
    /// The least probability, as a share of the most likely token's; 0 for none.
    public var minP: Float = 0
    /// What repeated tokens' logits are divided by, or multiplied with when negative; 1 for no penalty.
    public var repetitionPenalty: Float = 1

    /// The most likely token, always.
    public static let greedy = SamplingDefaults()

    /// Defaults with these values; without arguments the most likely token, always.
    public init(
        temperature: Float = 0, topK: Int? = nil, topP: Float = 1, minP: Float = 0, repetitionPenalty: Float = 1
    ) {
        (self.temperature, self.topK, self.topP) = (temperature, topK, topP)
        (self.minP, self.repetitionPenalty) = (minP, repetitionPenalty)
    }

    /// Reads a generation_config.json with transformers' defaults for what it leaves out. Values that are out of range are
    /// left out too, as they are a recommendation.
    /// - Returns: nil when it says nothing of sampling.
    public init?(_ json: JSONObject) {
        func number(_ key: String, _ range: ClosedRange<Float>) -> Float? {
            json[key]?.doubleValue.map { Float($0) }.flatMap { range.contains($0) ? $0 : nil }
        }
        let (temperature, topP) = (number("temperature", 1e-4...100), number("top_p", 1e-6...1))
        let minP = number("min_p", 0...1)
        let topK = json["top_k"]?.integerValue
        let says = temperature != nil || topP != nil || minP != nil || topK != nil
        guard let samples = json["do_sample"]?.boolValue ?? (says ? true : nil) else { return nil }
        self.init(repetitionPenalty: number("repetition_penalty", 1e-3...1e3) ?? 1)
        guard samples else { return }
        self.temperature = temperature ?? 1
        // 50 is transformers' own; 0 and less are none.
        self.topK = (topK ?? 50) > 0 ? topK ?? 50 : nil
        (self.topP, self.minP) = (topP ?? 1, minP ?? 0)
    }
}
