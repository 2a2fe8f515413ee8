import Models
import Tensors

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
    private let tape = GradientTape()

    /// What one batch gave.
    struct Result {
        /// The loss: of `align` the mean over layers, of the others per token in nats.
        var loss: Double
        /// The relative squared error of each aligned layer.
        var layers: [Int: Double] = [:]
    }

    init(
        _ stage: StageConfiguration, student: TrainableModel, teacher: DecoderModel?, layers: [Int],
        recomputedLayers: Int
    ) {
        (self.stage, self.student, self.teacher) = (stage, student, teacher)
        (self.layers, self.recomputedLayers) = (layers, recomputedLayers)
    }

    func accumulate(_ batch: TrainingBatch) throws -> Result {
        // After an error nothing recorded may be left for the next batch.
        defer { tape.clear() }
        return switch stage.kind {
        case .align: try align(batch)
        case .distil, .finetune: try predict(batch)
        }
    }

    /// Layer by layer: the student's mixer is differentiated as soon as the teacher has computed its input and output, so
    /// that activations of one mixer at a time are kept.
    private func align(_ batch: TrainingBatch) throws -> Result {
        guard let teacher else { return Result(loss: 0) }
        let model = try student.model(on: tape)
        var errors: [Int: Double] = [:]
        try teacher.visitMixers(batch.inputs, documents: batch.documents) { layer, input, output, context in
            guard layers.contains(layer) else { return }
            let mixed = try model.mix(input, layer: layer, context: context)
            errors[layer] = try mixed.relativeSquaredError(to: output)
            try tape.playBack()
        }
        return Result(loss: errors.values.reduce(0, +) / Double(max(1, errors.count)), layers: errors)
    }

    private func predict(_ batch: TrainingBatch) throws -> Result {
        let share = stage.kind == .distil ? stage.teacherShare : 0
        // The teacher first: its activations are gone before the student's are kept.
        let target = share > 0 ? try teacher?.hidden(batch.inputs, documents: batch.documents) : nil
        let model = try student.model(on: tape)
        let hidden = try model.hidden(
            batch.inputs, documents: batch.documents,
            recomputation: recomputedLayers > 0 ? Recomputation(tape, layers: recomputedLayers) : nil)
        var loss = 0.0
        if let teacher, let target {
            let scale = share / Double(batch.tokens)
            let losses = try hidden.klDivergence(
                head: model.headWeight, teacher: target, teacherHead: teacher.headWeight, scale: Float(scale))
            loss += scale * losses.reduce(0) { $0 + Double($1) }
        }
        if share < 1 {
            let scale = (1 - share) / Double(max(1, batch.predicted))
            let losses = try hidden.crossEntropy(
                head: model.headWeight, targets: batch.targets, scale: Float(scale))
            loss += scale * losses.reduce(0) { $0 + Double($1) }
        }
        try tape.playBack()
        return Result(loss: loss)
    }
}
