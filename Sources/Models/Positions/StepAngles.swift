import Foundation
import Tensors

/// The angles of a processor's step, by kind of layer: those of mixers, and of kept attention, where its positions are others. Beyond
/// the farthest distance that the source was trained on, queries turn for sinks as if they stood there; nearer ones do not ask for it.
struct StepAngles {
    private struct Part {
        let rotary: RotaryEmbedding
        let keys, sinkQueries: RotaryTable
        let farthest: Int
        let positions: AttentionPositions
        let frequencies: [Float]

        /// Queries of kept attention are scaled where their keys are bound.
        var turns: Turns { Turns(keys, sinkQueries: sinkQueries) }
    }
    /// Of each kind one or two.
    private let parts: [[Part]]
    private let step: CapturedStep

    init(_ step: CapturedStep, _ positions: DecoderPositions) throws {
        self.step = step
        parts = try positions.rotary.kinds.map { rotary in
            func part(_ farthest: Int, _ positions: AttentionPositions) throws -> Part {
                let frequencies = rotary.frequencies(positions)
                func table() throws -> RotaryTable {
                    func rows() throws -> Tensor { try step.input([step.capacity, frequencies.count]) }
                    var table = RotaryTable(cosines: try rows(), sines: try rows())
                    table.isByRow = true
                    return table
                }
                return Part(
                    rotary: rotary, keys: try table(), sinkQueries: try table(), farthest: farthest,
                    positions: positions, frequencies: frequencies)
            }
            return try [part(positions.farthest, .source)]
                + (positions.kept.map { [try part($0.farthest, $0.positions)] } ?? [])
        }
    }

    /// By what heads turn, by kind of layer.
    var turns: [LayerTurns] {
        parts.map { LayerTurns(mixer: $0[0].turns, kept: $0.count > 1 ? $0[1].turns : nil) }
    }

    /// Sets the angles of one row.
    func set(row: Int, position: Int) throws {
        for part in parts.joined() {
            let isLong = part.rotary.scaledLength(position + 1) > 0
            let frequencies =
                isLong ? part.rotary.frequencies(part.positions, length: position + 1) : part.frequencies
            func set(_ table: RotaryTable, _ position: Int) throws {
                let factor = part.rotary.attentionFactor
                func update(_ rows: Tensor, _ function: (Double) -> Double) throws {
                    try step.update(rows, row: row) { (row: UnsafeMutableBufferPointer<Float>) in
                        for (index, frequency) in frequencies.enumerated() {
                            row[index] = Float(factor * function(Double(position) * Double(frequency)))
                        }
                    }
                }
                try update(table.cosines, cos)
                try update(table.sines, sin)
            }
            try set(part.keys, position)
            // Up to there nothing is turned by them.
            if position > part.farthest { try set(part.sinkQueries, part.farthest) }
        }
    }
}
