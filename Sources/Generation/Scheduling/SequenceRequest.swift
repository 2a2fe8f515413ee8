import Models
import Tokenizers

/// A prompt to read and to continue, in one or several ways.
public struct SequenceRequest: Sendable {
    /// Token ids; at least one.
    public var prompt: [Int32]
    /// Picks the tokens of each continuation: one for each.
    public var samplers: [Sampler]
    /// The most tokens of a continuation; 0 reads the prompt alone.
    public var limit: Int
    /// Tokens that end a continuation and are not part of it.
    public var stops: Set<Int32> = []
    /// Strings that end a continuation and are not part of its text.
    public var strings: StopStrings
    /// What each continuation is to be: tokens are then picked among those that may follow, and ``stops`` only where it is complete. Their
    /// likelihoods are those of the model without it.
    public var constraint: SequenceConstraint?
    /// How many alternatives to each generated token are wanted; nil for no likelihoods.
    public var alternatives: Int?
    /// How many alternatives to each token of the prompt are wanted; nil for no likelihoods of the prompt, which then may
    /// go on from a stored state.
    public var promptAlternatives: Int?
    /// Who asks: places are shared fairly among those.
    public var owner = ""
    /// Whose stored states may be used: states never go from one scope to another.
    public var scope = ""
    /// Whether stored states may be used and states be stored.
    public var reusesStates = true
    /// Whether states may be kept in the scheduler's folder, where it has one.
    public var isDurable = true
    /// Numbers of tokens of the prompt after which others may go on otherwise, as where messages end: states are kept there.
    public var boundaries: [Int] = []
    /// The slot that remembers where the sequence ended; nil for any.
    public var slot: Int?
    /// When to stop, whatever has come until then.
    public var deadline: ContinuousClock.Instant?

    /// A request to continue `prompt` by at most `limit` tokens in as many ways as there are samplers.
    public init(prompt: [Int32], samplers: [Sampler], limit: Int, strings: StopStrings) {
        (self.prompt, self.samplers, self.limit, self.strings) = (prompt, samplers, limit, strings)
    }

    /// Whether it is answered from the logits after each token of the prompt alone.
    var isScoring: Bool { promptAlternatives != nil && limit <= 1 }

    /// - Throws: ``GenerationError`` for what cannot be done, or the model's error for a token that it does not have.
    func check(_ model: DecoderModel) throws {
        guard !prompt.isEmpty else { throw GenerationError.emptyPrompt }
        func require(_ holds: Bool, _ name: String, _ expected: String, _ found: Int) throws {
            if !holds { throw GenerationError.option(name: name, expected: expected, found: "\(found)") }
        }
        try require(limit >= (promptAlternatives == nil ? 1 : 0), "limit", "1 or more", limit)
        try require(!samplers.isEmpty, "samplers", "at least one", 0)
        for count in [alternatives, promptAlternatives].compactMap(\.self) {
            let most = mostAlternatives(model)
            try require((0...most).contains(count), "alternatives", "0 to \(most)", count)
        }
        try model.require(prompt)
    }

    private func mostAlternatives(_ model: DecoderModel) -> Int {
        min(Self.mostAlternatives, model.configuration.decoder.vocabularySize)
    }

    /// The most alternatives to a token.
    public static let mostAlternatives = 20
}
