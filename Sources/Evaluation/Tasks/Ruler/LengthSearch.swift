/// Finds how many pieces make a text of a given length. Tokens of texts are nearly, but not quite, the sum of those of
/// their pieces, and a long text takes long to encode: a few texts are tried, not one for every piece.
package struct LengthSearch {
    /// The most tokens of the text.
    let budget: Int
    /// Short of the budget by so many tokens at most, a text is long enough.
    private var tolerance: Int { max(4, budget / 1024) }

    package init(budget: Int) { self.budget = budget }

    /// The greatest number of pieces, or nearly that, whose text is within the budget.
    /// - Parameters:
    ///   - minimum: at least 1.
    ///   - tokens: of the text of that many pieces; more for more pieces.
    /// - Returns: nil when the text of `minimum` pieces is too long.
    package func pieces(from minimum: Int, tokens: (Int) throws -> Int) rethrows -> Int? {
        var low = (pieces: minimum, tokens: try tokens(minimum))
        guard low.tokens <= budget else { return nil }
        var high: (pieces: Int, tokens: Int)?
        // What a piece has, at least: the first guess is from a few more pieces than the least.
        var next = 2 * minimum + 8
        var tries = 0
        while budget - low.tokens > tolerance, next <= minimum + 8 + 4 * budget {
            let tried = (pieces: next, tokens: try tokens(next))
            let last = low
            if tried.tokens <= budget { low = tried } else { high = tried }
            tries += 1
            guard let high else {
                let slope = Double(tried.tokens - last.tokens) / Double(tried.pieces - last.pieces)
                next += 1 + (slope > 0 ? Int(Double(budget - low.tokens) / slope) : next)
                continue
            }
            let room = high.pieces - low.pieces
            if room <= 1 { break }
            // A straight line between the two, and now and then the middle, so that it ends.
            let share = Double(budget - low.tokens) / Double(high.tokens - low.tokens)
            let step = tries % 4 == 0 ? room / 2 : Int(Double(room) * share)
            next = low.pieces + min(max(1, step), room - 1)
        }
        return low.pieces
    }
}

extension LengthSearch {
    /// The same, or an error that says how long the text must be at least.
    /// - Parameter generated: tokens that follow the text.
    func requirePieces(
        from minimum: Int, task: EvaluationTask, generated: Int, tokens: (Int) throws -> Int
    ) throws -> Int {
        if let count = try pieces(from: minimum, tokens: tokens) { return count }
        // Other examples may need a few more.
        let least = (try tokens(minimum) + generated) * 9 / 8
        throw EvaluationError.length(task: task.rawValue, minimum: least, found: budget + generated)
    }
}
