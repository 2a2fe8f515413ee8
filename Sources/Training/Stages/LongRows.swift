import Tensors
import Text

/// The long rows of a stage that carries the state: as many steps go through them, each with a row cut of every one, as
/// ``StageConfiguration/carry`` says.
struct LongRows {
    private let stage: StageConfiguration
    /// This rank's part of them.
    private let share: RowShare
    /// Tokens of a row that is cut of them.
    private let length: Int
    private let rows: TrainingRows
    /// Rows that do not go on with each other, and their share.
    private let ordinary: TrainingRows
    private let ordinaryShare: RecallShare
    private let answerWeight: Double
    private let device: Device
    /// Those in hand.
    private var whole: (group: Int, rows: [PackedRow])?

    /// - Parameters:
    ///   - rows: of ``StageConfiguration/carry`` times `length` tokens.
    ///   - ordinary: of `length` tokens.
    init(
        _ stage: StageConfiguration, share: RowShare, length: Int, rows: TrainingRows, ordinary: TrainingRows,
        answerWeight: Double, device: Device
    ) {
        self.share = share
        (self.stage, self.length, self.rows, self.ordinary) = (stage, length, rows, ordinary)
        ordinaryShare = RecallShare(1 - stage.carryShare)
        (self.answerWeight, self.device) = (answerWeight, device)
    }

    /// Long row `index`, or as many ordinary rows in its place.
    private func row(_ index: Int) -> PackedRow {
        let before = ordinaryShare.rows(before: index)
        guard ordinaryShare.contains(index) else { return rows[index - before] }
        return PackedRow(joining: (0..<stage.carry).map { ordinary[before * stage.carry + $0] })
    }

    /// This rank's batches of a step of the stage, from 0 on. On the processor each row is a batch of its own.
    /// - Parameter first: the number of the stage's first row.
    mutating func batches(step: Int, first: Int) -> [TrainingBatch] {
        let (group, index) = step.quotientAndRemainder(dividingBy: stage.carry)
        let count = stage.sequences * stage.accumulation, start = first + group * count
        let long = whole.flatMap { $0.group == group ? $0.rows : nil } ?? (start..<start + count).map(row)
        whole = (group, long)
        func batch(_ some: [PackedRow], of all: [PackedRow]) -> TrainingBatch {
            func pieces(_ rows: [PackedRow]) -> [PackedRow] { rows.map { $0.piece(index, length: length) } }
            let own = pieces(some)
            let whole = some.count == all.count ? nil : TrainingBatch(pieces(all), answerWeight: answerWeight).whole
            return TrainingBatch(
                own, answerWeight: answerWeight, device: device,
                carried: .init(group: group, index: index, before: own.map(\.before), whole: some), whole: whole)
        }
        guard isSideBySide else {
            return share.places(sequences: stage.sequences).map { batch([long[$0]], of: [long[$0]]) }
        }
        return share.batches.map { part in
            let all = Array(long[part * stage.sequences..<(part + 1) * stage.sequences])
            return batch(Array(all[share.rows]), of: all)
        }
    }

    private var isSideBySide: Bool { device.traits.readsInStep }
    /// Batches of a step, of all ranks.
    var batchesPerStep: Int { isSideBySide ? stage.accumulation : stage.sequences * stage.accumulation }
}
