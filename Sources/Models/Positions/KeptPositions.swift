import Checkpoints
import Tensors

/// The positions of a model's kept attention, where they are not those of its mixers.
struct KeptPositions: Sendable {
    let positions: AttentionPositions
    /// The distance, in tokens, at which sinks are seen that are further away: the greatest that the source was trained on, as
    /// many times as positions are divided by; without positions there is none. A window that reaches further goes first.
    let farthest: Int
    let scale: LogScale?
    private let hasSinks: Bool

    /// Nil where they are the mixers'.
    init?(_ configuration: ModelConfiguration) throws {
        let (decoder, attention) = (configuration.decoder, try configuration.attention)
        positions = attention.positions
        let span = attention.span(sliding: decoder.globalWindow)
        let most = positions.divisor.map { Double(decoder.farthestDistance) * $0 }
        farthest = max(most.flatMap { Int(exactly: $0.rounded(.down)) } ?? .max, span.firstBeyondSinks ?? 0)
        guard try positions != .source || farthest != configuration.farthestDistance else { return nil }
        scale =
            positions.hasLogScale
            ? LogScale(trained: decoder.maximumPositions, most: span.window.map { $0 + span.sinks } ?? .max) : nil
        hasSinks = attention.sinks > 0
    }

    /// Whether a token at `position` sees sinks at ``farthest``, nearer than they are.
    func isFar(_ position: Int) -> Bool { hasSinks && position > farthest }

    /// The tables of a call for `count` tokens from `offset` on.
    func turns(
        _ rotary: RotaryEmbedding, offset: Int, count: Int, documents: Documents?, on device: Device
    ) throws -> Turns {
        func table(farthest: Int = .max, scale: LogScale? = nil) throws -> RotaryTable {
            try rotary.table(
                offset: offset, count: count, farthest: farthest, positions: positions, scale: scale, on: device)
        }
        var turns = Turns(try table())
        // Up to there all factors are 1.
        if let scale, offset + count > scale.trained {
            // What a query sees begins with its document, and so do positions then.
            turns.keys.documents = documents
            turns.queries = try table(scale: scale)
            turns.queries.documents = documents
        }
        if documents == nil, isFar(offset + count - 1) {
            turns.sinkQueries = try table(farthest: farthest, scale: scale)
        }
        return turns
    }
}
