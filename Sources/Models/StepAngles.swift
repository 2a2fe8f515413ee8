import Tensors

/// The angles of a recorded step: those of mixers, and of kept attention, where its positions are others.
public struct StepAngles {
    private struct Part {
        let angles: RecordedStep.Angles
        let farthest: Int
        let frequencies: [Float]
    }
    private let parts: [Part]

    var mixer: RecordedStep.Angles { parts[0].angles }
    var kept: RecordedStep.Angles { parts[parts.count - 1].angles }

    init(_ step: RecordedStep, _ model: DecoderModel) throws {
        func part(_ farthest: Int, _ frequencies: [Float]) throws -> Part {
            Part(angles: try step.angles(count: frequencies.count), farthest: farthest, frequencies: frequencies)
        }
        let rotary = model.rotary
        parts =
            try [part(model.farthest, rotary.frequencies)]
            + (model.keptPositions.map { [try part($0.farthest, rotary.frequencies($0.positions))] } ?? [])
    }

    /// Sets the angles of one row.
    func set(row: Int, position: Int) {
        for part in parts {
            part.angles.set(row: row, position: position, farthest: part.farthest, frequencies: part.frequencies)
        }
    }
}
