import Tensors

/// The angles of a recorded step: those of mixers, and of kept attention, where its positions are others.
public struct StepAngles {
    private struct Part {
        let angles: RecordedStep.Angles
        let farthest: Int
        let positions: AttentionPositions
        let frequencies: [Float]
    }
    private let parts: [Part]
    private let rotary: RotaryEmbedding

    var mixer: RecordedStep.Angles { parts[0].angles }
    var kept: RecordedStep.Angles { parts[parts.count - 1].angles }

    init(_ step: RecordedStep, _ model: DecoderModel) throws {
        let rotary = model.rotary
        func part(_ farthest: Int, _ positions: AttentionPositions) throws -> Part {
            let frequencies = rotary.frequencies(positions)
            return Part(
                angles: try step.angles(count: frequencies.count), farthest: farthest, positions: positions,
                frequencies: frequencies)
        }
        self.rotary = rotary
        parts =
            try [part(model.farthest, .source)]
            + (model.keptPositions.map { [try part($0.farthest, $0.positions)] } ?? [])
    }

    /// Sets the angles of one row.
    func set(row: Int, position: Int) {
        let isLong = rotary.scaledLength(position + 1) > 0
        for part in parts {
            part.angles.set(
                row: row, position: position, farthest: part.farthest,
                frequencies: isLong ? rotary.frequencies(part.positions, length: position + 1) : part.frequencies,
                factor: rotary.attentionFactor)
        }
    }
}
