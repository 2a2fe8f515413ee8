import Evaluation
import Models
import Text

/// Rows that are held apart, and how well a model predicts them.
struct HeldRows {
    private let batches: [TrainingBatch]

    /// At most `limit` rows, spread over all that `data` holds apart.
    init(_ data: TokenDataset, limit: Int) {
        let held = data.validationRows
        let count = min(held.count, limit)
        batches = (0..<count).map {
            TrainingBatch([held[held.index(held.startIndex, offsetBy: $0 * held.count / count)]])
        }
    }

    var isEmpty: Bool { batches.isEmpty }
    var count: Int { batches.count }
    /// The ranges of positions that are told apart.
    var ranges: [Range<Int>] { Perplexity.positionRanges(length: batches.first?.tokens ?? 0) }

    /// Nats per token: over all positions, and over ranges of positions in the row that double in length.
    struct Result: Sendable, Equatable {
        var loss: Double
        var ranges: [Range<Int>]
        var lossByRange: [Double]
    }

    /// - Parameter team: who measures together, each some of the rows.
    func measure(_ model: DecoderModel, team: RunTeam = RunTeam()) throws -> Result {
        let length = batches.first?.tokens ?? 0
        var sums = [Double](repeating: 0, count: length)
        var counts = [Double](repeating: 0, count: length)
        for batch in team.some(of: batches) {
            let losses = try model.hidden(batch.inputs, documents: batch.documents)
                .reshaped([batch.tokens, model.configuration.decoder.hiddenSize])
                .negativeLogLikelihood(
                    head: model.headWeight, targets: batch.targets.map { max($0, 0) }, cap: model.logitCap)
            for (position, target) in batch.targets.enumerated() where target >= 0 {
                sums[position] += Double(losses[position])
                counts[position] += 1
            }
        }
        let all = try team.sum(sums + counts)
        (sums, counts) = (Array(all[..<length]), Array(all[length...]))
        func mean(_ range: Range<Int>) -> Double {
            sums[range].reduce(0, +) / max(1, counts[range].reduce(0, +))
        }
        let ranges = ranges
        return Result(loss: mean(0..<length), ranges: ranges, lossByRange: ranges.map(mean))
    }
}
