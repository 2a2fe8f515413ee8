/// The windows of a text, each T tokens and the one after, without overlap but for this one. What a window or a document of it
/// begins with that is not the beginning of a text gets the tokens before it that begin one.
struct TextWindows {
    private let tokens: [Int32]
    /// Where documents begin in `tokens`, ascending; none for one text.
    private let starts: [Int]
    /// Tokens with which every text begins, as the model was trained to see it.
    private let prefix: [Int32]
    /// T: tokens that a window predicts.
    let length: Int
    /// Windows to read.
    let count: Int
    /// Windows that there are; nil where there may be more.
    let available: Int?

    /// - Parameters:
    ///   - prefix: tokens with which every text begins; `tokens` has them where `starts` says that a document begins.
    ///   - isWhole: whether `tokens` are all that there are.
    ///   - limit: the most windows.
    /// - Throws: ``EvaluationError/textTooShort(tokens:)``.
    init(tokens: [Int32], starts: [Int] = [], prefix: [Int32], isWhole: Bool = true, length: Int, limit: Int?) throws {
        guard tokens.count > 1 else { throw EvaluationError.textTooShort(tokens: tokens.count) }
        (self.tokens, self.starts, self.prefix) = (tokens, starts, prefix)
        self.length = min(length, tokens.count - 1)
        let available = (tokens.count - 1) / self.length
        count = min(available, limit ?? available)
        self.available = isWhole ? available : nil
    }

    /// A part of a window, of one document.
    struct Part {
        /// Where the part begins in the window.
        let place: Int
        /// The part's tokens, behind `given` tokens that begin a text.
        let tokens: [Int32]
        let given: Int
    }

    /// The parts of window `index`, one of each document of which it holds a token to predict and one before it.
    subscript(index: Int) -> [Part] {
        let window = index * length..<(index + 1) * length + 1
        var bounds = [window.lowerBound]
        var next = starts.partitioningIndex { $0 >= window.lowerBound }
        let begins = next < starts.count && starts[next] == window.lowerBound
        if begins { next += 1 }
        while next < starts.count, starts[next] < window.upperBound {
            bounds.append(starts[next])
            next += 1
        }
        bounds.append(window.upperBound)
        return zip(bounds, bounds.dropFirst()).filter { $1 - $0 > 1 }.map {
            let prefix = begins || $0 > window.lowerBound ? [] : prefix
            return Part(place: $0 - window.lowerBound, tokens: prefix + tokens[$0..<$1], given: prefix.count)
        }
    }
}

extension [Int] {
    /// The index of the first element of an ascending list of which `isBehind` is true; the list's end when there is none.
    fileprivate func partitioningIndex(_ isBehind: (Int) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = (low + high) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
