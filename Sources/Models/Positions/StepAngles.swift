import Tensors

/// The angles of a recorded step, by kind of layer: those of mixers, and of kept attention, where its positions are others.
public struct StepAngles {
    private struct Part {
        let rotary: RotaryEmbedding
        let angles: RecordedStep.Angles
        let farthest: Int
        let positions: AttentionPositions
        let frequencies: [Float]
    }
    /// Of each kind one or two.
    private let parts: [[Part]]

    /// Those of mixers in layers of `kind`.
    func mixer(_ kind: Int) -> RecordedStep.Angles { parts[kind][0].angles }
    /// Those of kept attention there.
    func kept(_ kind: Int) -> RecordedStep.Angles { parts[kind][parts[kind].count - 1].angles }

    init(_ step: RecordedStep, _ positions: DecoderPositions) throws {
        parts = try positions.rotary.kinds.map { rotary in
            func part(_ farthest: Int, _ positions: AttentionPositions) throws -> Part {
                let frequencies = rotary.frequencies(positions)
                return Part(
                    rotary: rotary, angles: try step.angles(count: frequencies.count), farthest: farthest,
                    positions: positions, frequencies: frequencies)
            }
            return try [part(positions.farthest, .source)]
                + (positions.kept.map { [try part($0.farthest, $0.positions)] } ?? [])
        }
    }

    /// Sets the angles of one row.
    func set(row: Int, position: Int) {
        for part in parts.joined() {
            let isLong = part.rotary.scaledLength(position + 1) > 0
            part.angles.set(
                row: row, position: position, farthest: part.farthest,
                frequencies: isLong
                    ? part.rotary.frequencies(part.positions, length: position + 1) : part.frequencies,
                factor: part.rotary.attentionFactor)
        }
    }
}
