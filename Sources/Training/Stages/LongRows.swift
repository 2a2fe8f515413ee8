import Tensors
import Text

/// The long rows of a stage that carries the state: as many steps go through them, each with a row cut of every one, as
/// ``StageConfiguration/carry`` says.
struct LongRows {
    private let stage: StageConfiguration
    /// Tokens of a row that is cut of them.
    private let length: Int
    private let rows: TrainingRows
    /// Rows that do not go on with each other, and their share.
    private let ordinary: TrainingRows
    private let share: RecallShare
    private let answerWeight: Double
    private let device: Device
    /// Those in hand.
    private var whole: (group: Int, rows: [PackedRow])?

    /// - Parameters:
    ///   - rows: of ``StageConfiguration/carry`` times `length` tokens.
    ///   - ordinary: of `length` tokens.
    init(
        _ stage: StageConfiguration, length: Int, rows: TrainingRows, ordinary: TrainingRows, answerWeight: Double,
        device: Device
    ) {
        (self.stage, self.length, self.rows, self.ordinary) = (stage, length, rows, ordinary)
        share = RecallShare(1 - stage.carryShare)
        (self.answerWeight, self.device) = (answerWeight, device)
    }

    /// Long row `index`, or as many ordinary rows in its place.
    private func row(_ index: Int) -> PackedRow {
        let before = share.rows(before: index)
        guard share.contains(index) else { return rows[index - before] }
        return PackedRow(joining: (0..<stage.carry).map { ordinary[before * stage.carry + $0] })
    }

    /// The batches of a step of the stage, from 0 on. On the processor each row is a batch of its own.
    /// - Parameter first: the number of the stage's first row.
    mutating func batches(step: Int, first: Int) -> [TrainingBatch] {
        let (group, index) = step.quotientAndRemainder(dividingBy: stage.carry)
        let count = stage.sequences * stage.accumulation, start = first + group * count
        let long = whole.flatMap { $0.group == group ? $0.rows : nil } ?? (start..<start + count).map(row)
        whole = (group, long)
        let size = device.traits.readsInStep ? stage.sequences : 1
        return stride(from: 0, to: count, by: size).map { start in
            let some = Array(long[start..<start + size])
            let pieces = some.map { $0.piece(index, length: length) }
            return TrainingBatch(
                pieces, answerWeight: answerWeight, device: device,
                carried: .init(group: group, index: index, before: pieces.map(\.before), whole: some))
        }
    }
}
