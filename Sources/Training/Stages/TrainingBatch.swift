import Tensors

/// Rows of tokens as a model reads them, and the token that follows each.
///
/// Rows without a document's start inside lie side by side, (B, T). Otherwise they are one sequence of packed documents,
/// in which no document sees another: (1, B · T). For a GPU, whose recorded steps need one shape for all batches, rows lie
/// side by side in any case.
struct TrainingBatch {
    let inputs: [[Int32]]
    /// One per input, -1 where the next token begins another document.
    let targets: [Int32]
    /// Starts of the documents, or nil when every row is one.
    let documents: Documents?
    /// The first position in its row of every token's document, (B · T), for a GPU; empty otherwise.
    private(set) var firstPositions: [Int32] = []

    /// - Parameter rows: rows of one length.
    init(_ rows: [PackedRow], device: Device = .cpu) {
        let length = (rows.first?.tokens.count ?? 1) - 1
        var targets: [Int32] = []
        for row in rows {
            targets += row.tokens.dropFirst()
            for start in row.documents.dropFirst() { targets[targets.count - length + start - 1] = -1 }
        }
        self.targets = targets
        if device == .cuda {
            inputs = rows.map { Array($0.tokens.dropLast()) }
            documents = nil
            for row in rows {
                for (start, end) in zip(row.documents, row.documents.dropFirst() + [length]) {
                    firstPositions += repeatElement(Int32(start), count: end - start)
                }
            }
        } else if rows.allSatisfy({ $0.documents.count == 1 }) {
            inputs = rows.map { Array($0.tokens.dropLast()) }
            documents = nil
        } else {
            inputs = [rows.flatMap { $0.tokens.dropLast() }]
            documents = Documents(
                rows.enumerated().flatMap { index, row in row.documents.map { index * length + $0 } })
        }
    }

    var tokens: Int { targets.count }
    /// Targets that count.
    var predicted: Int { targets.count { $0 >= 0 } }
}

/// A batch in tensors on the device that trains. Those of a GPU are filled anew for every step.
struct BatchTensors {
    /// (B, T), int32.
    let ids: Tensor
    /// (B · T), int32.
    let targets: Tensor
    let documents: Documents?
    /// 1 / the number of targets that count: a float32 scalar.
    let share: Tensor
    private let firstPositions: Tensor?

    init(_ batch: TrainingBatch, on device: Device) throws {
        let shape = [batch.inputs.count, batch.inputs[0].count]
        ids = try Tensor(batch.inputs.flatMap { $0 }, shape: shape).to(device)
        targets = try Tensor(batch.targets, shape: [batch.tokens]).to(device)
        share = try Tensor([batch.share], shape: []).to(device)
        firstPositions = device == .cuda ? try Tensor(batch.firstPositions, shape: shape).to(device) : nil
        documents = firstPositions.map { Documents(firstPositions: $0) } ?? batch.documents
    }

    /// Takes over another batch of the same shape, in place.
    func fill(_ batch: TrainingBatch) throws {
        try ids.overwrite(batch.inputs.flatMap { $0 })
        try targets.overwrite(batch.targets)
        try share.overwrite([batch.share])
        try firstPositions?.overwrite(batch.firstPositions)
    }
}

extension TrainingBatch {
    fileprivate var share: Float { 1 / Float(max(1, predicted)) }
}
