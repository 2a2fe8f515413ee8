/// Rows of one length, cut one behind another of stretches of a source's tokens, in the order of the text.
package struct SpannedRows: Sendable, Equatable {
    /// T.
    package let length: Int
    private let spans: [Range<Int>]
    /// Rows of each stretch, added up from the first on.
    private let ends: [Int]

    /// - Parameter spans: stretches of tokens, the last targets included.
    init(_ spans: [Range<Int>], length: Int) {
        (self.spans, self.length) = (spans, length)
        var sum = 0
        ends = spans.map { span in
            sum += max(0, span.count - 1) / length
            return sum
        }
    }

    package var count: Int { ends.last ?? 0 }

    /// The tokens of row `index`, below ``count``: T and the one after.
    package func tokens(_ index: Int) -> Range<Int> {
        precondition(0..<count ~= index, "row \(index) of \(count)")
        let span = ends.firstIndex { $0 > index } ?? 0
        let start = spans[span].lowerBound + (index - (span == 0 ? 0 : ends[span - 1])) * length
        return start..<(start + length + 1)
    }
}
