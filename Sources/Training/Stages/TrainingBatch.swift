import Models
import Tensors
import Text

/// Rows of tokens as a model reads them, and the token that follows each.
///
/// Rows without a document's start inside lie side by side, (B, T). Otherwise they are one sequence of packed documents,
/// in which no document sees another: (1, B · T). For a device that reads rows in step they lie side by side in any case, one
/// shape for all batches.
struct TrainingBatch {
    let inputs: [[Int32]]
    /// One per input, -1 where the next token begins another document.
    let targets: [Int32]
    /// Starts of the documents, or nil when every row is one.
    let documents: Documents?
    /// What rows have that go on with those before them; nil for rows by themselves.
    let carried: Carried?
    /// What the loss of each target weighs; nil where all weigh 1.
    let weights: [Float]?
    /// What its loss is a mean over: that of the batch that it is a part of, where other ranks read the rest.
    private(set) var whole = Whole()
    /// The first position in its row of every token's document, (B · T), where rows lie side by side in any case; else empty.
    private(set) var firstPositions: [Int32] = []

    /// - Parameters:
    ///   - rows: rows of one length.
    ///   - answerWeight: what the tokens of recall rows' answers weigh in the loss, others being 1.
    ///   - carried: what rows have that go on with those before them; on the processor a batch has one such row.
    ///   - whole: that of the batch that the rows are a part of; nil for their own.
    init(
        _ rows: [PackedRow], answerWeight: Double = 1, device: Device = .cpu, carried: Carried? = nil,
        whole: Whole? = nil
    ) {
        self.carried = carried
        let length = (rows.first?.tokens.count ?? 1) - 1
        var targets: [Int32] = []
        for row in rows {
            targets += row.tokens.dropFirst()
            for start in row.documents.dropFirst() { targets[targets.count - length + start - 1] = -1 }
        }
        self.targets = targets
        weights = answerWeight == 1 ? nil : Self.weights(rows, length: length, answerWeight: Float(answerWeight))
        if device.traits.readsInStep {
            inputs = rows.map { Array($0.tokens.dropLast()) }
            documents = nil
            for row in rows {
                let starts = row.documents.filter { $0 < length }
                for (start, end) in zip(starts, starts.dropFirst() + [length]) {
                    firstPositions += repeatElement(Int32(start), count: end - start)
                }
            }
        } else if carried == nil, rows.allSatisfy({ $0.documents.count == 1 }) {
            inputs = rows.map { Array($0.tokens.dropLast()) }
            documents = nil
        } else {
            inputs = [rows.flatMap { $0.tokens.dropLast() }]
            documents = Documents(
                rows.enumerated().flatMap { index, row in
                    row.documents.filter { $0 < length }.map { index * length + $0 }
                })
        }
        self.whole = whole ?? Whole(targets: targets, weights: weights)
    }

    /// What the loss of a batch is a mean over.
    struct Whole: Equatable {
        /// How many targets there are.
        var targets = 0
        /// The weights of all targets, added up, and of those that count.
        var (weight, predicted) = (0.0, 1.0)

        init() {}

        init(targets: [Int32], weights: [Float]?) {
            func sum(_ places: some Sequence<Int>) -> Double {
                places.reduce(0) { sum, place in sum + (weights.map { Double($0[place]) } ?? 1) }
            }
            self.targets = targets.count
            weight = sum(targets.indices)
            predicted = max(1, sum(targets.indices.lazy.filter { targets[$0] >= 0 }))
        }
    }

    /// The place of rows in the long ones that they are cut from.
    struct Carried {
        /// The number of the long rows in their stage.
        let group: Int
        /// The place of the rows in them, from 0 on.
        let index: Int
        /// See ``PackedRow/before``.
        let before: [Int]
        /// The long rows.
        let whole: [PackedRow]
    }

    /// A token is the target of the position before it.
    private static func weights(_ rows: [PackedRow], length: Int, answerWeight: Float) -> [Float] {
        rows.flatMap { row in
            var weights = [Float](repeating: 1, count: length)
            for place in row.answers.joined() where place > 0 { weights[place - 1] = answerWeight }
            return weights
        }
    }

    var tokens: Int { targets.count }
}

/// A batch in tensors on the device that trains. Those of a GPU are filled anew for every step.
struct BatchTensors {
    /// (B, T), int32.
    let ids: Tensor
    /// (B · T), int32.
    let targets: Tensor
    let documents: Documents?
    /// 1 / ``TrainingBatch/Whole/predicted`` and 1 / ``TrainingBatch/Whole/weight``: float32 scalars.
    let predictedShare: Tensor
    let share: Tensor
    /// ``TrainingBatch/Whole/targets``.
    let wholeTargets: Int
    /// (B · T), float32; nil where all targets weigh 1.
    let weights: Tensor?
    /// What the rows take over from those before them.
    let carried: CarriedRows?
    /// The teacher's final hidden states (B, T, D) where they are those of longer rows.
    private(set) var target: Tensor?
    private let firstPositions: Tensor?

    init(_ batch: TrainingBatch, on device: Device, carried: CarriedRows? = nil, target: Tensor? = nil) throws {
        (self.carried, self.target) = (carried, target)
        let shape = [batch.inputs.count, batch.inputs[0].count]
        ids = try Tensor(batch.inputs.flatMap { $0 }, shape: shape).to(device)
        targets = try Tensor(batch.targets, shape: [batch.tokens]).to(device)
        predictedShare = try Tensor([batch.predictedShare], shape: []).to(device)
        share = try Tensor([batch.share], shape: []).to(device)
        wholeTargets = batch.whole.targets
        weights = try batch.weights.map { try Tensor($0, shape: [batch.tokens]).to(device) }
        firstPositions = batch.firstPositions.isEmpty ? nil : try Tensor(batch.firstPositions, shape: shape).to(device)
        documents = firstPositions.map { Documents(firstPositions: $0) } ?? batch.documents
    }

    /// Takes over another batch of the same shape, in place.
    mutating func fill(_ batch: TrainingBatch, target: Tensor?) throws {
        if let target { try self.target?.take(target) }
        try ids.overwrite(batch.inputs.flatMap { $0 })
        try targets.overwrite(batch.targets)
        try predictedShare.overwrite([batch.predictedShare])
        if let values = batch.weights {
            try share.overwrite([batch.share])
            try weights?.overwrite(values)
        }
        try firstPositions?.overwrite(batch.firstPositions)
    }
}

extension TrainingBatch {
    fileprivate var predictedShare: Float { 1 / Float(whole.predicted) }
    fileprivate var share: Float { 1 / Float(whole.weight) }
}
