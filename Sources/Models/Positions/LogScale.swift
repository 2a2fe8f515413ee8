import Foundation

/// A query that sees n tokens is multiplied by max(1, ln n / ln(trained length)), so that softmax over more of them than in
/// training is as sharp as there (Chiang and Cholak 2022, arXiv 2202.12172; the form is that of Qwen 1). Without a window n
/// is the position + 1; with one, no more than it holds.
public struct LogScale: Sendable, Hashable {
    /// Tokens of the longest texts that the source was trained on.
    var trained: Int
    /// The most that a query sees.
    var most: Int

    /// That of the query at `position` in its document.
    func factor(_ position: Int) -> Double {
        let seen = min(position, most - 1) + 1
        return seen > trained ? log(Double(seen)) / log(Double(max(2, trained))) : 1
    }
}
