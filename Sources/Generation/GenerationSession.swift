import Models
import Tensors

/// One sequence being read and continued.
public final class GenerationSession {
    public let model: DecoderModel
    public let state: DecoderState
    /// Prompts are read in segments of this many tokens, so that memory does not depend on their length.
    static let segment = 512
    /// Logits after the last token read; nil before the first, and where `step` holds them.
    private var logits: Tensor?
    /// The recorded step, once single tokens have been read; it holds the logits of the last one.
    private var step: DecoderStep?
    private var recent = RecentTokens()

    public init(_ model: DecoderModel) throws {
        self.model = model
        state = try model.makeState()
    }

    /// Reads `tokens` after what the session has seen.
    /// - Parameter progress: called with tokens read and in all; throwing stops between segments.
    public func read(_ tokens: [Int32], progress: (Int, Int) throws -> Void = { _, _ in }) throws {
        guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
        if tokens.count == 1 {
            let step = try self.step ?? DecoderStep(model)
            self.step = step
            try step.read(tokens, states: [state])
            logits = nil
            recent.append(tokens)
            return try progress(1, 1)
        }
        var position = 0
        while position < tokens.count {
            let end = min(position + Self.segment, tokens.count)
            logits = try model.nextLogits(Array(tokens[position..<end]), state: state)
            recent.append(tokens[position..<end])
            position = end
            try progress(position, tokens.count)
        }
    }

    /// Picks the token that follows, without reading it.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    public func pick(_ sampler: inout Sampler) throws -> Int32 {
        let recent = recent.last(sampler.options.repetitionWindow)
        return try withLogits { try sampler.sample($0, after: recent) }
    }

    /// Calls `body` with the logits (vocabulary) of the token after the last one read.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    public func withLogits<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result {
        if let logits { return try logits.withElements(Float.self, body) }
        guard let step else { throw GenerationError.emptyPrompt }
        return try step.withLogits(body)
    }

    /// Continues the sequence by up to `limit` tokens, or until one of `stops` is picked.
    /// - Parameter emit: called with every token as it is picked, but not with a stop; throwing ends the continuation.
    /// - Returns: the number of tokens emitted.
    @discardableResult
    public func generate(
        limit: Int, sampler: inout Sampler, stops: Set<Int32>, emit: (Int32) throws -> Void
    ) throws -> Int {
        var count = 0
        while count < limit {
            let token = try pick(&sampler)
            if stops.contains(token) { break }
            try emit(token)
            count += 1
            if count < limit { try read([token]) }
        }
        return count
    }
}

/// Why nothing could be generated.
public enum GenerationError: Error, Equatable, CustomStringConvertible {
    case emptyPrompt
    case nonFiniteLogits
    case option(name: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt is empty; give at least one token of text with --prompt"
        case .nonFiniteLogits: "the model's output is not a finite number; are the weights finite? See 'moult inspect'"
        case .option(let name, let expected, let found): "\(name): expected \(expected), found \(found)"
        }
    }
}
