/// How the next token is chosen. What is set is applied to the logits in the order of the properties below, which is that
/// of Hugging Face transformers.
public struct SamplingOptions: Sendable, Equatable {
    /// Added to the logits of these tokens; minus infinity forbids one.
    public var logitBias: [Int32: Float]
    /// Divides positive logits of tokens that were seen lately and multiplies negative ones (Keskar et al. 2019, arXiv
    /// 1909.05858, section 4.1); 1 changes nothing.
    public var repetitionPenalty: Float
    /// How many of the last tokens, read or generated, count as seen lately.
    public var repetitionWindow: Int
    /// Taken from the logits of tokens that were generated, for each time that they were; 0 changes nothing.
    public var frequencyPenalty: Float
    /// Taken from the logits of tokens that were generated, however often; 0 changes nothing.
    public var presencePenalty: Float
    /// Divides all logits; 0 takes the most likely token, and nothing below then matters.
    public var temperature: Float
    /// Keeps this many of the most likely tokens, and those as likely as the last of them; nil keeps all.
    public var topK: Int?
    /// Keeps the fewest of the most likely tokens that together have this probability, and those as likely as the last
    /// of them (Holtzman et al. 2020, arXiv 1904.09751).
    public var topP: Float
    /// Keeps tokens with at least this share of the most likely one's probability (Nguyen et al. 2024, arXiv
    /// 2407.01082).
    public var minP: Float

    /// - Throws: ``GenerationError/option(name:expected:found:)`` when a value is out of range.
    public init(
        logitBias: [Int32: Float] = [:], repetitionPenalty: Float = 1, repetitionWindow: Int = 256,
        frequencyPenalty: Float = 0, presencePenalty: Float = 0,
        temperature: Float = 0, topK: Int? = nil, topP: Float = 1, minP: Float = 0
    ) throws {
        self.logitBias = logitBias
        self.repetitionPenalty = repetitionPenalty
        self.repetitionWindow = repetitionWindow
        self.frequencyPenalty = frequencyPenalty
        self.presencePenalty = presencePenalty
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        func require(_ holds: Bool, _ name: String, _ expected: String, _ found: some CustomStringConvertible) throws {
            if !holds { throw GenerationError.option(name: name, expected: expected, found: "\(found)") }
        }
        for (token, bias) in logitBias {
            try require(token >= 0, "logitBias", "token ids of 0 or more", token)
            try require(bias < .infinity, "logitBias", "a number or -inf", bias)
        }
        // Beyond these a logit that is changed is no number.
        let penalties: ClosedRange<Float> = 1e-3...1e3
        try require(
            penalties.contains(repetitionPenalty), "repetitionPenalty",
            "\(penalties.lowerBound) to \(penalties.upperBound)", repetitionPenalty)
        let windows = 0...RecentTokens.capacity
        try require(
            windows.contains(repetitionWindow), "repetitionWindow", "0 to \(windows.upperBound)", repetitionWindow)
        for (name, penalty) in [("frequencyPenalty", frequencyPenalty), ("presencePenalty", presencePenalty)] {
            try require((-2...2).contains(penalty), name, "-2 to 2", penalty)
        }
        try require(temperature >= 0 && temperature.isFinite, "temperature", "0 or more", temperature)
        try require((topK ?? 1) >= 1, "topK", "1 or more", topK ?? 1)
        try require(topP > 0 && topP <= 1, "topP", "more than 0, at most 1", topP)
        try require(minP >= 0 && minP <= 1, "minP", "0 to 1", minP)
    }

    /// Whether logits are changed before they are compared.
    var changesLogits: Bool {
        !logitBias.isEmpty || repetitionPenalty != 1 && repetitionWindow > 0 || penalisesGenerated
    }

    /// Whether it matters which tokens were generated.
    var penalisesGenerated: Bool { frequencyPenalty != 0 || presencePenalty != 0 }
}
