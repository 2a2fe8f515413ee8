import Foundation

/// Splits text by a regular expression for which there is no scanner.
///
/// Such an expression backtracks, and may take a time that grows with any power of the text's length, or doubles with every
/// character. Its steps are counted, so that the same text is always split or always refused.
struct RegularExpressionSplit: Sendable {
    /// The most bytes of an expression; those of models have at most 500.
    private static let maximumLength = 10_000
    /// The engine reports after so many places to which it could go back.
    private static let reportInterval = 10_000
    /// The most such places: for a text, and for each of its bytes more. Those of models take less than 20 a byte.
    private static let (steps, stepsPerByte) = (2_000_000, 200)

    private let expression: NSRegularExpression
    private let removesGaps: Bool
    /// Where the expression stands in its file.
    private let file: String
    private let path: String

    init(_ pattern: String, removesGaps: Bool, _ node: JSONNode) throws {
        guard !pattern.isEmpty, pattern.utf8.count <= Self.maximumLength,
            let expression = try? NSRegularExpression(pattern: pattern)
        else { throw node.expected("a regular expression of at most \(Self.maximumLength) bytes") }
        self.expression = expression
        self.removesGaps = removesGaps
        (file, path) = (node.file, node.path)
    }

    /// The lengths in bytes of the pieces of `text`, in order, and which of them are kept.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)``.
    func pieces(of text: String) throws -> [(length: Int, isKept: Bool)] {
        let source = text as NSString
        var pieces: [(length: Int, isKept: Bool)] = []
        var taken = 0
        func add(until end: Int, isKept: Bool) {
            guard end > taken else { return }
            let piece = source.substring(with: NSRange(location: taken, length: end - taken))
            pieces.append((piece.utf8.count, isKept))
            taken = end
        }
        var reports = (Self.steps + Self.stepsPerByte * text.utf8.count) / Self.reportInterval
        var hasFailed = false
        let whole = NSRange(location: 0, length: source.length)
        expression.enumerateMatches(in: text, options: [.reportProgress, .reportCompletion], range: whole) {
            match, flags, stop in
            if flags.contains(.internalError) { hasFailed = true }
            guard let match else {
                if flags.contains(.progress) { reports -= 1 }
                if reports < 0 { stop.pointee = true }
                return
            }
            add(until: match.range.location, isKept: !removesGaps)
            add(until: match.range.location + match.range.length, isKept: true)
        }
        guard reports >= 0, !hasFailed else {
            throw TokenizerError.limit(
                file: file, component: path,
                reason: "the regular expression takes more than \(Self.stepsPerByte) steps a byte of this text")
        }
        add(until: source.length, isKept: !removesGaps)
        return pieces
    }
}
