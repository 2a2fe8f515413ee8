import Models
import Tensors

/// One sequence being read and continued.
public final class GenerationSession {
    public let model: DecoderModel
    public let state: DecoderState
    /// Prompts are read in segments of this many tokens, so that memory does not depend on their length.
    static let segment = 512
    private var logits: Tensor?

    public init(_ model: DecoderModel) throws {
        self.model = model
        state = try model.makeState()
    }

    /// Reads `tokens` after what the session has seen.
    /// - Parameter progress: called with tokens read and in all; throwing stops between segments.
    public func read(_ tokens: [Int32], progress: (Int, Int) throws -> Void = { _, _ in }) throws {
        guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
        var position = 0
        while position < tokens.count {
            let end = min(position + Self.segment, tokens.count)
            logits = try model.nextLogits(Array(tokens[position..<end]), state: state)
            position = end
            try progress(position, tokens.count)
        }
    }

    /// Picks the next token and reads it.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    public func next(_ sampler: inout Sampler) throws -> Int32 {
        guard let current = logits else { throw GenerationError.emptyPrompt }
        let token = try sampler.sample(current)
        logits = try model.nextLogits([token], state: state)
        return token
    }

    /// Picks the next token without reading it; for the last one.
    public func last(_ sampler: inout Sampler) throws -> Int32 {
        guard let current = logits else { throw GenerationError.emptyPrompt }
        return try sampler.sample(current)
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
