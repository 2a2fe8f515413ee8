import Tensors

/// What a model says of one token that follows others.
public struct TokenScore: Sendable, Equatable {
    /// Negative log-likelihood, nats.
    public let loss: Float
    /// Whether no other token is likelier: greedy decoding would have picked it.
    public let isMostLikely: Bool
}

extension DecoderModel {
    /// Rows of logits that are held at once.
    private static let scoringRows = 32

    /// Scores the tokens at `positions`, each given all before it in its document.
    /// - Parameters:
    ///   - tokens: one sequence, or packed documents.
    ///   - positions: from 1 to `tokens.count - 1`, and no document's first.
    ///   - state: the sequence so far, advanced by all tokens but the last.
    ///   - documents: ascending starts of packed documents among the tokens but the last, the first being 0.
    public func scores(
        of positions: [Int], in tokens: [Int32], state: DecoderState? = nil, documents: Documents? = nil
    ) throws -> [TokenScore] {
        guard positions.allSatisfy({ (1..<max(1, tokens.count)).contains($0) }) else {
            throw ModelError.input(expected: "positions from 1 to \(tokens.count - 1)", found: "\(positions)")
        }
        let inputs = Array(tokens.dropLast())
        let hidden = try hidden([inputs], state: state, documents: documents)
            .reshaped([inputs.count, configuration.decoder.hiddenSize])
        guard !positions.isEmpty else { return [] }
        let rows = try Tensor.embedding(positions.map { Int32($0 - 1) }, table: hidden)
        let targets = positions.map { tokens[$0] }
        let losses = try rows.negativeLogLikelihood(head: head, targets: targets, cap: logitCap)
        let best = try mostLikelyTokens(rows)
        return targets.indices.map { TokenScore(loss: losses[$0], isMostLikely: best[$0] == targets[$0]) }
    }

    /// Calls `body` with the index of each of the final hidden states (R, D) and the logits (vocabulary) of what follows it; few
    /// rows of logits are held at once.
    public func forEachLogits(
        _ hidden: Tensor, _ body: (Int, UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        let (rows, vocabulary) = (hidden.shape[0], configuration.decoder.vocabularySize)
        for start in stride(from: 0, to: rows, by: Self.scoringRows) {
            let tile = try hidden.rows(start..<min(start + Self.scoringRows, rows))
            try tile.logits(head: head, cap: logitCap).withElements(Float.self) { logits in
                for row in 0..<tile.shape[0] {
                    try body(
                        start + row, UnsafeBufferPointer(rebasing: logits[row * vocabulary..<(row + 1) * vocabulary]))
                }
            }
        }
    }

    /// The token of the greatest logit for each of the final hidden states (R, D); of equal ones the first.
    private func mostLikelyTokens(_ hidden: Tensor) throws -> [Int32] {
        try stride(from: 0, to: hidden.shape[0], by: Self.scoringRows).flatMap { start in
            try hidden.rows(start..<min(start + Self.scoringRows, hidden.shape[0])).logits(head: head)
                .indicesOfLargest().array(Int32.self)
        }
    }
}
