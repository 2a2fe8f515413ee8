/// The rows of a step that a rank reads, whatever the number of ranks those of the same step: a part of the rows of every
/// batch, or, where ranks do not divide these, some of the step's batches.
package struct RowShare: Equatable {
    /// Which of each batch's rows.
    package let rows: Range<Int>
    /// Which of the step's batches.
    package let batches: Range<Int>
    /// Whether others read other rows of the same batches.
    let isOfBatches: Bool

    /// - Throws: ``TrainingError/option(name:expected:found:)`` when the stage's rows cannot be shared among so many.
    package init(_ stage: StageConfiguration, rank: Int, of ranks: Int) throws {
        let (rows, batches) = (stage.sequences, stage.accumulation)
        func part(_ count: Int) -> Range<Int> { rank * (count / ranks)..<(rank + 1) * (count / ranks) }
        if rows % ranks == 0 || stage.kind == .select {
            (self.rows, self.batches, isOfBatches) = (part(rows), 0..<batches, ranks > 1)
        } else if batches % ranks == 0 {
            (self.rows, self.batches, isOfBatches) = (0..<rows, part(batches), false)
        } else {
            throw TrainingError.option(
                name: "stage \(stage.kind.rawValue): sequences",
                expected: "rows of a batch, or batches of a step (accumulation), that \(ranks) ranks can share equally",
                found: "\(rows) and \(batches)")
        }
    }

    /// Those of a step's rows, which are `sequences` of each batch, in their order.
    package func places(sequences: Int) -> [Int] { batches.flatMap { batch in rows.map { batch * sequences + $0 } } }
}
