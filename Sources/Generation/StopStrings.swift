import Tokenizers

/// Ends a text just before the first of some strings, which may be cut across its pieces: what could be the beginning of
/// one is held back until it is certain.
///
/// A string that is a special token, which has no text, stands for the token: see ``tokens(_:)``.
public struct StopStrings: Sendable {
    private let strings: [String]
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// Whether one of the strings was found; nothing is given out from then on.
    public private(set) var isReached = false

    /// - Throws: ``GenerationError/option(name:expected:found:)`` for an empty string.
    public init(_ stops: [String] = []) throws {
        guard !stops.contains("") else {
            throw GenerationError.option(name: "stopStrings", expected: "text", found: "an empty string")
        }
        strings = stops
        self.stops = stops.map { Array($0.utf8) }
    }

    /// The special tokens among the strings, which end a text as its model's own do.
    public func tokens(_ tokenizer: Tokenizer) -> Set<Int32> {
        Set(strings.compactMap { tokenizer.id(for: $0) }.filter(tokenizer.isSpecialToken))
    }

    /// Takes the next piece, whole characters, and returns the text that is certain now, which may be empty.
    public mutating func push(_ piece: String) -> String {
        guard !isReached else { return "" }
        held += piece.utf8
        return release(isLast: false)
    }

    /// Returns what was held back, when the text ends otherwise.
    public mutating func finish() -> String { release(isLast: true) }

    private mutating func release(isLast: Bool) -> String {
        var start = 0
        while start < held.count, !isReached {
            let rest = held[start...]
            if stops.contains(where: { rest.starts(with: $0) }) {
                isReached = true
            } else if !isLast, stops.contains(where: { $0.count > rest.count && $0.starts(with: rest) }) {
                break
            } else {
                start += 1
            }
        }
        defer { held.removeFirst(isReached ? held.count : start) }
        return String(decoding: held[..<start], as: UTF8.self)
    }
}
