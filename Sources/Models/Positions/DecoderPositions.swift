import Checkpoints
import Tensors

/// Where the layers of a model place tokens: the rotary positions of each kind of layer, and of each those of kept attention.
struct DecoderPositions: Sendable {
    let rotary: DecoderRotary
    /// See ``ModelConfiguration/farthestDistance``.
    let farthest: Int
    let hasSinks: Bool
    /// Nil where kept attention has the mixers'.
    let kept: KeptPositions?

    /// - Parameter rotary: that of another model of this configuration, whose tables are used again.
    init(_ configuration: ModelConfiguration, rotary: DecoderRotary? = nil) throws {
        self.rotary = rotary ?? DecoderRotary(configuration.decoder)
        farthest = try configuration.farthestDistance
        hasSinks = try configuration.attention.sinks > 0
        kept = try KeptPositions(configuration)
    }

    /// Whether a token at `position` sees sinks at ``farthest``, nearer than they are.
    func isFar(_ position: Int) -> Bool { hasSinks && position > farthest }

    /// By what heads turn, by kind of layer, for `count` tokens from `offset` on.
    func turns(offset: Int, count: Int, documents: Documents?, on device: Device) throws -> [LayerTurns] {
        try rotary.kinds.map { rotary in
            var turns = Turns(try rotary.table(offset: offset, count: count, on: device))
            if documents == nil, isFar(offset + count - 1) {
                turns.sinkQueries = try rotary.table(offset: offset, count: count, farthest: farthest, on: device)
            }
            let kept = try kept?.turns(rotary, offset: offset, count: count, documents: documents, on: device)
            return LayerTurns(mixer: turns, kept: kept)
        }
    }

    /// The context of a call for `count` tokens of each sequence from `offset` on.
    func context(offset: Int, count: Int, documents: Documents?, on device: Device) throws -> MixerContext {
        MixerContext(
            turns: try turns(offset: offset, count: count, documents: documents, on: device), documents: documents,
            position: offset)
    }
}
