/// Reads tokens that arrive by and by, always in the same segments, so that what comes of them depends on the tokens
/// alone and not on how they arrive.
public struct TokenFeed {
    private let session: GenerationSession
    private let every: Int?
    private var pending: [Int32] = []
    /// Tokens read so far.
    public private(set) var read = 0

    /// - Parameter every: stops after each so many tokens.
    public init(_ session: GenerationSession, every: Int? = nil) {
        self.session = session
        self.every = every
    }

    /// Takes the next tokens and reads all full segments.
    /// - Parameters:
    ///   - goesOn: asked before each segment; false leaves the rest for later.
    ///   - stop: called when `every` tokens more have been read.
    public mutating func append(
        _ tokens: [Int32], goesOn: () -> Bool = { true }, stop: () throws -> Void = {}
    ) throws {
        pending += tokens
        var start = 0
        defer { pending.removeFirst(start) }
        while goesOn() {
            let segment = GenerationSession.segment
            let toStop = every.map { $0 - read % $0 } ?? .max
            let count = min(segment - read % segment, toStop)
            guard pending.count - start >= count else { return }
            try session.read(Array(pending[start..<start + count]))
            start += count
            read += count
            if count == toStop { try stop() }
        }
    }

    /// Reads what is left.
    public mutating func finish() throws {
        guard !pending.isEmpty else { return }
        try session.read(pending)
        read += pending.count
        pending = []
    }
}
