import Models

/// Texts that are read in pieces, each going on with the state of the one before.
enum Pieces {
    /// Of 200 tokens: pieces shorter and longer than windows and sinks, and than what was trained.
    static let lengths: [[Int]] = [
        [Int](repeating: 1, count: 200), [2, 1, 60, 1, 1, 20, 65, 50], [100, 1, 1, 98], [1, 199],
    ]

    /// Logits of `text` read in the pieces that `lengths` says, of one token by steps.
    static func read(_ text: [Int32], in lengths: [Int], _ model: DecoderModel) throws -> [Float] {
        let (state, step) = (try model.makeState(), try DecoderStep(model))
        var (found, start) = ([Float](), 0)
        for length in lengths {
            if length == 1 {
                try step.read([text[start]], states: [state])
                found += step.withLogits { Array($0) }
            } else {
                found += try model.logits([Array(text[start..<start + length])], state: state).array(Float.self)
            }
            start += length
        }
        return found
    }
}
