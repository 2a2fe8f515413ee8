import Tensors

/// The angles of a GPU's step, by kind of layer, for R sequences at positions of their own. They are computed where they are read.
final class DeviceAngles {
    private final class Table {
        let rotary: RotaryEmbedding
        let positions: AttentionPositions
        let angles: RowAngles
        /// Of each row the length of text that its frequencies are for; see ``RotaryEmbedding/scaledLength(_:)``.
        var lengths: [Int]

        init(
            _ rotary: RotaryEmbedding, _ positions: AttentionPositions, farthest: Int = .max, scale: LogScale? = nil,
            rows: Int, on device: Device
        ) throws {
            (self.rotary, self.positions) = (rotary, positions)
            angles = try RowAngles(
                rows: rows, pairs: rotary.frequencies.count, farthest: farthest, factor: Float(rotary.attentionFactor),
                growth: scale.map { ($0.trained, $0.most) }, on: device)
            lengths = .init(repeating: 0, count: rows)
            for row in 0..<rows { try set(row: row, length: 0) }
        }

        func set(row: Int, length: Int) throws {
            try angles.set(row: row, frequencies: rotary.frequencies(positions, length: length))
            lengths[row] = length
        }

        var table: RotaryTable {
            var table = RotaryTable(cosines: angles.cosines, sines: angles.sines)
            table.isByRow = true
            return table
        }
    }

    /// Those of mixers and of kept attention.
    private struct Part {
        let keys: Table
        /// The same as for keys where there are none.
        let queries: Table?
        let sinkQueries: Table?

        var all: [Table] { [keys, queries, sinkQueries].compactMap { $0 } }

        var turns: Turns {
            var turns = Turns(keys.table, sinkQueries: sinkQueries?.table)
            if let queries { turns.queries = queries.table }
            return turns
        }
    }
    private let kinds: [(mixer: Part, kept: Part?)]
    /// Those whose frequencies change as a text grows.
    private let growing: [Table]

    init(_ positions: DecoderPositions, rows: Int, on device: Device) throws {
        kinds = try positions.rotary.kinds.map { rotary in
            func table(
                _ place: AttentionPositions = .source, farthest: Int = .max, scale: LogScale? = nil
            ) throws -> Table {
                try Table(rotary, place, farthest: farthest, scale: scale, rows: rows, on: device)
            }
            let mixer = Part(
                keys: try table(), queries: nil,
                sinkQueries: positions.hasSinks ? try table(farthest: positions.farthest) : nil)
            let kept = try positions.kept.map { kept in
                Part(
                    keys: try table(kept.positions),
                    queries: try kept.scale.map { try table(kept.positions, scale: $0) },
                    sinkQueries: positions.hasSinks
                        ? try table(kept.positions, farthest: kept.farthest, scale: kept.scale) : nil)
            }
            return (mixer, kept)
        }
        growing = kinds.flatMap { $0.mixer.all + ($0.kept?.all ?? []) }.filter(\.rotary.changesWithLength)
    }

    /// Sets the frequencies of a row that reads a token at `position`.
    func set(row: Int, position: Int) throws {
        for table in growing {
            let length = table.rotary.scaledLength(position + 1)
            if table.lengths[row] != length { try table.set(row: row, length: length) }
        }
    }

    /// Computes the angles of all rows for `positions` (R), int32: by what heads turn, by kind of layer.
    /// - Parameter isFar: whether there are queries of their own for sinks of mixers, and of kept attention.
    func turns(_ positions: Tensor, isFar: Farness) throws -> [LayerTurns] {
        try kinds.map { kind in
            func compute(_ part: Part, _ isFar: Bool) throws {
                for table in [part.keys, part.queries, isFar ? part.sinkQueries : nil] {
                    try table?.angles.compute(positions)
                }
            }
            try compute(kind.mixer, isFar.mixer)
            if let kept = kind.kept { try compute(kept, isFar.kept) }
            return LayerTurns(mixer: kind.mixer.turns, kept: kind.kept?.turns)
                .withSinks(mixer: isFar.mixer, kept: isFar.kept)
        }
    }
}

/// Whether some sequence of a step is beyond the positions from which sinks are seen with queries of their own.
struct Farness: Hashable {
    /// Those of mixers.
    var mixer = false
    /// Those of kept attention.
    var kept = false
}
