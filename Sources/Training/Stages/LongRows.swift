import Tensors

/// The long rows of a stage that carries the state: as many steps go through them, each with a row cut of every one, as
/// ``StageConfiguration/carry`` says.
struct LongRows {
    private let stage: StageConfiguration
    /// Tokens of a row that is cut of them.
    private let length: Int
    private let rows: TrainingRows
    private let answerWeight: Double
    private let device: Device
    /// Those in hand.
    private var whole: (group: Int, rows: [PackedRow])?

    init(_ stage: StageConfiguration, length: Int, rows: TrainingRows, answerWeight: Double, device: Device) {
        (self.stage, self.length, self.rows) = (stage, length, rows)
        (self.answerWeight, self.device) = (answerWeight, device)
    }

    /// The batches of a step of the stage, from 0 on. On the processor each row is a batch of its own.
    /// - Parameter first: the number of the stage's first row.
    mutating func batches(step: Int, first: Int) -> [TrainingBatch] {
        let (group, index) = step.quotientAndRemainder(dividingBy: stage.carry)
        let count = stage.sequences * stage.accumulation, start = first + group * count
        let long = whole.flatMap { $0.group == group ? $0.rows : nil } ?? (start..<start + count).map { rows[$0] }
        whole = (group, long)
        let size = device == .cpu ? 1 : stage.sequences
        return stride(from: 0, to: count, by: size).map { start in
            let some = Array(long[start..<start + size])
            let pieces = some.map { $0.piece(index, length: length) }
            return TrainingBatch(
                pieces, answerWeight: answerWeight, device: device,
                carried: .init(group: group, index: index, before: pieces.map(\.before), whole: some))
        }
    }
}
