import Models
import Tensors
import Text

/// What a stage minimises: runs a batch forwards and back, so that the gradients of the student's trained parameters
/// grow by the batch's.
struct Objective {
    let stage: StageConfiguration
    let student: TrainableModel
    let teacher: DecoderModel?
    /// The layers that `align` trains now.
    let layers: [Int]
    /// Layers that are computed again instead of being kept.
    let recomputedLayers: Int
    /// Who reads the rest of each batch's rows; alone where nobody does.
    private let partners: RunTeam
    private let tape = GradientTape()

    /// What one batch gives, as scalars on the device: they can be read when the work is done.
    struct Result {
        /// The sum of the weighted divergences of all tokens, in nats.
        var divergence: Tensor?
        /// The sum of the weighted negative log-likelihoods of all targets that count.
        var crossEntropy: Tensor?
        /// The relative squared error of each aligned layer.
        var layers: [Int: Tensor] = [:]

        /// One of the losses, which is not finite when its gradients are not.
        var anyLoss: Tensor? { divergence ?? crossEntropy }
    }

    /// What a result says of a batch.
    struct Values {
        /// The loss: of `align` the mean over layers, of the others per token in nats.
        var loss: Double
        var layers: [Int: Double]
    }

    func read(_ result: Result, of batch: TrainingBatch) throws -> Values {
        let layers = try result.layers.mapValues { try $0.scalar() }
        var loss = layers.values.reduce(0, +) / Double(max(1, layers.count))
        if let sum = result.divergence { loss += share * (try sum.scalar()) / batch.whole.weight }
        if let sum = result.crossEntropy {
            loss += (1 - share) * (try sum.scalar()) / batch.whole.predicted
        }
        return Values(loss: loss, layers: layers)
    }

    /// The divergence's share of the loss.
    private var share: Double { stage.kind == .distil ? stage.teacherShare : 0 }

    init(
        _ stage: StageConfiguration, student: TrainableModel, teacher: DecoderModel?, layers: [Int],
        recomputedLayers: Int, partners: RunTeam = RunTeam()
    ) {
        self.partners = partners
        (self.stage, self.student, self.teacher) = (stage, student, teacher)
        (self.layers, self.recomputedLayers) = (layers, recomputedLayers)
    }

    /// Adds the batch's gradients to those of the trained parameters.
    /// - Parameter buckets: told of each parameter to whose gradient nothing more comes.
    func accumulate(_ batch: BatchTensors, into buckets: GradientBuckets? = nil) throws -> Result {
        tape.whenComplete = buckets.map { buckets in { try buckets.complete($0) } }
        // After an error nothing recorded may be left for the next batch.
        defer {
            tape.clear()
            tape.whenComplete = nil
        }
        return switch stage.kind {
        case .align: try align(batch)
        case .distil, .finetune: try predict(batch)
        case .select: Result()
        }
    }

    /// Layer by layer: the student's mixer is differentiated as soon as the teacher has computed its input and output, so
    /// that activations of one mixer at a time are kept.
    private func align(_ batch: BatchTensors) throws -> Result {
        guard let teacher else { return Result() }
        let model = try student.model(on: tape)
        var errors: [Int: Tensor] = [:]
        try teacher.visitMixers(batch.ids, documents: batch.documents) { layer, input, output, context in
            guard layers.contains(layer) else { return }
            let mixed = try model.mix(input, layer: layer, context: context)
            // What the error is relative to is that of the whole batch.
            let share = try partners.isAlone ? nil : partners.powerShare(of: output)
            errors[layer] = try mixed.relativeSquaredError(to: output, factor: share)
            try tape.playBack()
        }
        return Result(layers: errors)
    }

    private func predict(_ batch: BatchTensors) throws -> Result {
        // The teacher first: its activations are gone before the student's are kept.
        let target = try batch.target ?? (isTaught ? teacher?.hidden(ids: batch.ids, documents: batch.documents) : nil)
        let model = try student.model(on: tape)
        let hidden = try model.hidden(
            ids: batch.ids, documents: batch.documents,
            recomputation: recomputedLayers > 0 ? Recomputation(tape, layers: recomputedLayers) : nil,
            carried: batch.carried)
        var result = Result()
        if let teacher, let target {
            result.divergence = try hidden.klDivergence(
                head: model.headWeight, teacher: target, teacherHead: teacher.headWeight,
                scale: Float(batch.weights == nil ? share / Double(batch.wholeTargets) : share),
                factor: batch.weights == nil ? nil : batch.share, weights: batch.weights, cap: model.logitCap,
                teacherCap: teacher.logitCap
            ).sum()
        }
        if share < 1 {
            result.crossEntropy = try hidden.crossEntropy(
                head: model.headWeight, targets: batch.targets, scale: Float(1 - share), factor: batch.predictedShare,
                weights: batch.weights, cap: model.logitCap
            ).sum()
        }
        try tape.playBack()
        try batch.carried?.advance()
        return result
    }

    /// Whether the teacher's predictions are learned.
    var isTaught: Bool { share > 0 }

    /// The teacher's final hidden states (B, N · T, D) of long rows.
    func teach(_ rows: [PackedRow]) throws -> Tensor? {
        let batch = try BatchTensors(TrainingBatch(rows, device: student.device), on: student.device)
        return try teacher?.hidden(ids: batch.ids, documents: batch.documents)
    }
}
