import Models
import Tensors

/// One sequence being read and continued.
public final class GenerationSession {
    /// The model that reads and continues.
    public let model: DecoderModel
    /// What the model remembers of the sequence: one state per layer. It grows only with attention that is kept.
    public let state: DecoderState
    /// Prompts are read in segments of this many tokens, so that memory does not depend on their length.
    public static let segment = 512
    /// Logits after the last token read; nil before the first, and where `step` holds them.
    private var segmentLogits: Tensor?
    /// The recorded step, once single tokens have been read; it holds the logits of the last one.
    private var step: (any DecodingStep)?
    private(set) var recent = RecentTokens()
    /// A hash of all tokens read.
    public private(set) var digest = TokenDigest()

    /// A session that has read nothing.
    /// - Throws: `TensorError` when the memory for its state runs out.
    public init(_ model: DecoderModel) throws {
        self.model = model
        state = try model.makeState()
    }

    /// Goes on where another session was.
    init(_ model: DecoderModel, state: DecoderState, logits: Tensor?, recent: RecentTokens, digest: TokenDigest) {
        self.model = model
        self.state = state
        (segmentLogits, self.recent, self.digest) = (logits, recent, digest)
    }

    /// An independent continuation of the same sequence.
    /// - Throws: `TensorError.outOfMemory`.
    public func fork() throws -> GenerationSession {
        try GenerationSession(model, state: state.copy(), logits: logits(), recent: recent, digest: digest)
    }

    /// Reads `tokens` after what the session has seen.
    /// - Parameter progress: called with tokens read and in all, on a processor at every layer of a segment; throwing
    ///   stops, and the session has then read whole segments alone.
    public func read(_ tokens: [Int32], progress: (Int, Int) throws -> Void = { _, _ in }) throws {
        guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
        if tokens.count == 1 {
            let step = try self.step ?? model.makeStep()
            self.step = step
            try step.read(tokens, states: [state])
            segmentLogits = nil
            recent.append(tokens)
            digest.append(tokens[...])
            return try progress(1, 1)
        }
        var position = 0
        while position < tokens.count {
            let end = min(position + Self.segment, tokens.count)
            let done = position
            segmentLogits = try withoutActuallyEscaping(progress) { progress in
                try model.nextLogits(Array(tokens[done..<end]), state: state) { try progress(done, tokens.count) }
            }
            recent.append(tokens[position..<end])
            digest.append(tokens[position..<end])
            position = end
            try progress(position, tokens.count)
        }
    }

    /// Picks the token that follows, without reading it.
    /// - Parameter mask: the tokens that may be picked; nil for all.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    public func pick(_ sampler: inout Sampler, among mask: TokenMask? = nil) throws -> Int32 {
        let recent = recent.last(sampler.options.repetitionWindow)
        guard segmentLogits == nil, mask == nil, let step else {
            return try withLogits { try sampler.sample($0, after: recent, among: mask) }
        }
        let picked = try sampler.choice(after: recent).flatMap { try step.pick([$0]) }
        return try picked.map { try sampler.accept($0[0]) }
            ?? step.withLogits(of: 0) { try sampler.sample($0, after: recent) }
    }

    /// Calls `body` with the logits (vocabulary) of the token after the last one read.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    public func withLogits<Result>(_ body: (UnsafeBufferPointer<Float>) throws -> Result) throws -> Result {
        if let segmentLogits { return try segmentLogits.withElements(Float.self, body) }
        guard let step else { throw GenerationError.emptyPrompt }
        return try step.withLogits(of: 0, body)
    }

    /// The same as a tensor; nil when nothing was read yet.
    func logits() throws -> Tensor? {
        if segmentLogits != nil || step == nil { return segmentLogits }
        return try withLogits { try Tensor(Array($0), shape: [$0.count]) }
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
