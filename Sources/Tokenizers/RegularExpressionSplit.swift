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
    /// Where the expression stands in its file.
    private let file: String
    private let path: String

    init(_ node: JSONNode) throws {
        let pattern = try node.string()
        guard !pattern.isEmpty, pattern.utf8.count <= Self.maximumLength else {
            throw node.expected("a regular expression of at most \(Self.maximumLength) bytes")
        }
        let translated: String
        do {
            translated = try OnigurumaPattern(pattern).translated
        } catch let error as OnigurumaPattern.Unsupported {
            throw TokenizerError.unsupported(
                file: node.file, component: "the regular expression of \(node.path) with", found: error.what,
                supported: "what it has in common with ICU's")
        }
        // The engine also reports every place where no match begins; so that there is none, what the expression does not
        // match is matched by the last group, character by character.
        guard let expression = try? NSRegularExpression(pattern: "(?:\(translated))|([\\x{0}-\\x{10FFFF}])") else {
            throw node.expected("a regular expression")
        }
        self.expression = expression
        (file, path) = (node.file, node.path)
    }

    /// The stretches in bytes of `text` that the expression matches and does not match, in order.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)``.
    func stretches(of text: String) throws -> [SplitBehavior.Stretch] {
        var stretches: [SplitBehavior.Stretch] = []
        let units = text.utf16
        var taken = 0, position = units.startIndex
        func add(until end: Int, isMatch: Bool) {
            let next = units.index(position, offsetBy: end - taken)
            stretches.append((text.utf8.distance(from: position, to: next), isMatch))
            (taken, position) = (end, next)
        }
        var reports = (Self.steps + Self.stepsPerByte * text.utf8.count) / Self.reportInterval
        var hasFailed = false
        let whole = NSRange(location: 0, length: units.count)
        expression.enumerateMatches(in: text, options: [.reportProgress, .reportCompletion], range: whole) {
            match, flags, stop in
            if flags.contains(.internalError) { hasFailed = true }
            guard let range = match?.range else {
                if flags.contains(.progress) { reports -= 1 }
                if reports < 0 { stop.pointee = true }
                return
            }
            guard match?.range(at: expression.numberOfCaptureGroups).length == 0 else { return }
            // An empty match right behind another one is none.
            guard range.length > 0 || range.location > taken || taken == 0 else { return }
            if range.location > taken { add(until: range.location, isMatch: false) }
            add(until: range.location + range.length, isMatch: true)
        }
        guard reports >= 0, !hasFailed else {
            throw TokenizerError.limit(
                file: file, component: path,
                reason: "the regular expression takes more than \(Self.stepsPerByte) steps a byte of this text")
        }
        if taken < whole.length { add(until: whole.length, isMatch: false) }
        return stretches
    }
}
