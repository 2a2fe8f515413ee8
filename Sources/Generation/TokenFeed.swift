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
    ///   - goesOn: asked before each segment; false, or throwing, leaves the rest for later.
    ///   - progress: called at every layer of a segment; throwing leaves the segment unread.
    ///   - stop: called when `every` tokens more have been read.
    public mutating func append(
        _ tokens: [Int32], goesOn: () throws -> Bool = { true }, progress: () throws -> Void = {},
        stop: () throws -> Void = {}
    ) throws {
        pending += tokens
        var start = 0
        defer { pending.removeFirst(start) }
        while try goesOn() {
            let segment = GenerationSession.segment
            let toStop = every.map { $0 - read % $0 } ?? .max
            let count = min(segment - read % segment, toStop)
            guard pending.count - start >= count else { return }
            try session.read(Array(pending[start..<start + count])) { done, _ in
                if done == 0 { try progress() }
            }
            start += count
            read += count
            if count == toStop { try stop() }
        }
    }

    /// Reads what is left.
    /// - Parameter progress: called at every layer of a segment; throwing leaves the rest unread.
    public mutating func finish(progress: () throws -> Void = {}) throws {
        guard !pending.isEmpty else { return }
        try session.read(pending) { done, _ in
            if done == 0 { try progress() }
        }
        read += pending.count
        pending = []
    }
}
