import Models

/// A stage, or of `align` the part of it that trains some layers.
struct TrainingPhase {
    let stage: StageConfiguration
    let layers: [Int]
    /// Tokens of a row.
    let length: Int
    let steps: Int
    /// Whether it is the first part of its stage.
    var isFirst = true

    /// What an update reads.
    var rowsPerStep: Int { stage.sequences * stage.accumulation }
    var tokensPerStep: Int { rowsPerStep * length }

    /// Those of `rules` that it trains, by name.
    func trained(_ rules: [ParameterRule], configuration: ModelConfiguration) -> Set<String> {
        stage.trained(rules, configuration: configuration, layers: layers)
    }

    /// The stages of a run that begins with `model`, in parts, each with something to train.
    /// - Throws: ``TrainingError/option(name:expected:found:)`` for one that has nothing, before anything is computed.
    static func list(
        _ configuration: TrainingConfiguration, of model: ModelConfiguration
    ) throws -> [TrainingPhase] {
        let layers = model.convertedLayers
        let phases = configuration.stages.flatMap { stage in
            let length = configuration.length(of: stage)
            let steps = stage.steps(length: length)
            guard stage.kind == .align, stage.layersAtOnce > 0, !layers.isEmpty else {
                return [TrainingPhase(stage: stage, layers: layers, length: length, steps: steps)]
            }
            return stride(from: 0, to: layers.count, by: stage.layersAtOnce).map { start in
                let some = layers[start..<min(start + stage.layersAtOnce, layers.count)]
                return TrainingPhase(
                    stage: stage, layers: Array(some), length: length, steps: steps, isFirst: start == 0)
            }
        }
        let rules = try DecoderModel.rules(model)
        for phase in phases { try phase.check(rules, of: model) }
        return phases
    }

    /// Refuses what cannot be trained in `model`, whose parameters are `rules`.
    private func check(_ rules: [ParameterRule], of model: ModelConfiguration) throws {
        if stage.kind == .select { try HeadSelection.check(model) }
        let long = length * stage.carry
        if stage.carry > 1, try model.attention.positions.hasLogScale, long > model.decoder.maximumPositions {
            throw TrainingError.option(
                name: "stage \(stage.kind.rawValue): carry",
                expected: "rows of at most \(model.decoder.maximumPositions) tokens together, for beyond them kept "
                    + "attention's queries grow with what they see of a document", found: "\(long)")
        }
        try stage.checkFrozen(rules)
        try stage.lowRank.check(stage.kind, against: LowRankAdapter.maps(rules, of: model))
        guard stage.lowRank.rank == 0 || !stage.adapters(rules, configuration: model).isEmpty else {
            throw TrainingError.option(
                name: "stage \(stage.kind.rawValue): lora_targets", expected: "matrices that are not frozen",
                found: "none")
        }
        guard trained(rules, configuration: model).isEmpty else { return }
        throw TrainingError.option(
            name: "stage \(stage.kind.rawValue)", expected: "parameters to train",
            found: "none: every layer keeps softmax attention, or everything is frozen")
    }
}
