import Models
import Records
import Tensors
import Text
import Tokenizers

/// What heads are selected by: lists of keys and values with questions, and ordinary text.
public struct SelectionProbe: Sendable {
    let lists: [PackedRow]
    let texts: [[Int32]]

    /// Lengths of the lists in tokens, and how many there are of each. Longer ones tell whether a head looks far, and cost
    /// more.
    private static let lengths = [(tokens: 256, count: 10), (tokens: 768, count: 2)]

    /// - Parameter texts: on which the divergence from the teacher is measured; it decides nothing.
    public init(tokenizer: Tokenizer, texts: [[Int32]], seed: UInt64) {
        let rows = RecallRows(tokenizer: tokenizer, length: Self.lengths[0].tokens, seed: seed)
        lists = Self.lengths.flatMap { length in
            (0..<length.count).compactMap { rows.list($0, limit: length.tokens) }
        }
        self.texts = texts.filter { $0.count > 1 }
    }

    /// What a model makes of the probe.
    public typealias Score = HeadTrial.Score

    /// The negative log-likelihood of an answer given the final hidden states (T, D) of `model` for each list.
    func recall(_ hidden: [Tensor], of model: DecoderModel) throws -> Double {
        var (sum, count) = (0.0, 0)
        for (document, hidden) in zip(lists, hidden) {
            let places = document.answers.flatMap { Array($0) }
            let rows = try Tensor.embedding(places.map { Int32($0 - 1) }, table: hidden)
            let losses = try rows.negativeLogLikelihood(
                head: model.headWeight, targets: places.map { document.tokens[$0] }, cap: model.logitCap)
            sum += losses.reduce(0) { $0 + Double($1) }
            count += document.answers.count
        }
        return sum / Double(max(1, count))
    }
}
