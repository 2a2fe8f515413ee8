import Checkpoints
import Models
import Support
import Tensors

/// Makes plans of a run's stages.
///
/// Of a parameter of n elements that R ranks train, those with bfloat16 weights hold 2 n bytes of weights, and of a matrix that they can
/// share 16 n / R of master, means and gradient, else 16 n (Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1, with gradients in
/// float32).
struct StagePlanner {
    var configuration: TrainingConfiguration
    let model: ModelConfiguration
    /// The student's parameters, and the types in which files hold them.
    let rules: [ParameterRule]
    let types: [String: DType]
    /// The teacher's parameters, and its configuration; nil without one.
    let teacher: (rules: [ParameterRule], configuration: ModelConfiguration)?
    let device: Device
    let precision: Precision
    var ranks: Int
    var placement: MemoryPlacement

    init(
        _ plan: RunPlan, _ configuration: TrainingConfiguration, device: Device, precision: Precision, ranks: Int,
        placement: MemoryPlacement
    ) throws {
        (self.configuration, self.device, self.precision) = (configuration, device, precision)
        (self.ranks, self.placement) = (ranks, placement)
        model = try ModelConfiguration(plan.student.configuration)
        rules = try DecoderModel.rules(model)
        types = Dictionary(
            plan.student.checkpoint.tensors.map { ($0.name, $0.format.dtype ?? .float32) }, uniquingKeysWith: { $1 })
        teacher = try plan.teacher.map {
            let configuration = try ModelConfiguration($0.configuration)
            return (try DecoderModel.rules(configuration), configuration)
        }
    }

    /// The plan of every phase.
    /// - Parameter available: bytes of the device's memory that there are; nil where activations have a budget of their own.
    /// - Throws: ``TrainingError/memory(stage:device:available:needed:advice:)`` for one that does not fit, with what would.
    func plans(available: Int?) throws -> [StagePlan] {
        let plans = try planned(available: available)
        guard let available, let large = plans.first(where: { $0.device.total > Self.usable(available) }) else {
            return plans
        }
        throw TrainingError.memory(
            stage: large.stage.rawValue, device: "\(device)", available: Figures.bytes(Double(Self.usable(available))),
            needed: large.text, advice: try advice(available: available))
    }

    /// The part of what there is that tensors can have: a sixteenth is for what the device's own library takes, and for what no
    /// tensor uses again.
    private static func usable(_ available: Int) -> Int { available / 16 * 15 }

    /// What would fit.
    private func advice(available: Int) throws -> String {
        var other = self, found: [String] = []
        func note(_ what: String) throws {
            let most = try other.planned(available: available).map(\.device.total).max() ?? 0
            if most <= Self.usable(available) { found.append("\(what) (\(Figures.bytes(Double(most))))") }
        }
        if placement.optimiser == .device {
            other.placement.optimiser = .host
            try note("the optimiser in the host's memory")
        }
        if placement.teacher == .device, teacher != nil {
            (other.placement.teacher, other.placement.optimiser) = (.host, placement.optimiser)
            try note("the teacher in the host's memory")
            other.placement.optimiser = .host
            if found.isEmpty, placement.optimiser == .device { try note("both in the host's memory") }
        }
        other = self
        for factor in [2, 4, 8] where found.count < 3 {
            other.ranks = ranks * factor
            let isShared = configuration.stages.allSatisfy { (try? RowShare($0, rank: 0, of: other.ranks)) != nil }
            if isShared { try note("\(other.ranks) GPUs") }
        }
        other = self
        for index in other.configuration.stages.indices { other.configuration.stages[index].sequences = ranks }
        if found.isEmpty { try note("one row of a batch for each GPU (sequences: \(ranks))") }
        return found.isEmpty
            ? "train fewer parameters, such as low-rank adapters (lora_rank), with shorter rows, or on more GPUs"
            : "it fits with " + found.joined(separator: ", or with ")
    }

    private func planned(available: Int?) throws -> [StagePlan] {
        // From the start a master is kept of what files hold in another type than products read.
        var mastered = Set(rules.filter { $0.shape.count > 1 && weightType($0) != storedType($0) }.map(\.name))
        return try TrainingPhase.list(configuration, of: model).map { phase in
            let plan = try plan(phase, mastered: mastered, available: available)
            mastered.formUnion(phase.trained(rules, configuration: model))
            return plan
        }
    }

    // MARK: Parameters

    private func storedType(_ rule: ParameterRule) -> DType { rule.isWide ? .float32 : types[rule.name] ?? .float32 }

    private func weightType(_ rule: ParameterRule) -> DType {
        rule.shape.count > 1 ? device.traits.weightType(of: storedType(rule)) : .float32
    }

    private func weightBytes(_ rules: some Sequence<ParameterRule>) -> Int {
        rules.reduce(0) { $0 + $1.count * weightType($1).size }
    }

    /// Elements of a parameter of which a rank keeps what the optimiser needs.
    private func kept(_ rule: ParameterRule) -> Int {
        RunTeam.partCount(of: rule.shape, ranks: ranks) ?? rule.count
    }

    // MARK: A phase

    private func plan(_ phase: TrainingPhase, mastered: Set<String>, available: Int?) throws -> StagePlan {
        var plan = StagePlan(stage: phase.stage.kind)
        let adapters = phase.stage.adapters(rules, configuration: model)
        let names = phase.trained(rules, configuration: model)
        let trained = (rules + adapters).filter { names.contains($0.name) }
        plan.device.student = weightBytes(rules + adapters)
        for rule in rules + adapters where weightType(rule) != .float32 {
            // A master of its own, and while it is trained two means.
            let numbers = names.contains(rule.name) ? 3 : mastered.contains(rule.name) ? 1 : 0
            let bytes = 4 * numbers * kept(rule)
            if placement.optimiser == .host { plan.host.optimiser += bytes } else { plan.device.optimiser += bytes }
        }
        plan.device.optimiser += trained.reduce(0) { $0 + (weightType($1) == .float32 ? 8 * kept($1) : 0) }
        plan.device.gradients = trained.reduce(0) { $0 + 4 * kept($1) }
        if ranks > 1, let largest = trained.map(\.count).max() {
            // One that is being made while another is summed.
            plan.device.gradients += 4 * largest + GradientBuckets.limit
        }
        // It stays for stages that do not ask it.
        if let teacher { try place(teacher.rules, teacher.configuration, &plan) }
        try activations(phase, &plan, available: available)
        plan.operationsPerToken = try operations(phase, trained: trained, recomputed: plan.recomputedLayers)
        return plan
    }

    private func place(
        _ rules: [ParameterRule], _ configuration: ModelConfiguration, _ plan: inout StagePlan
    ) throws {
        guard placement.teacher == .host else { return plan.device.teacher = weightBytes(rules) }
        let layers = try DecoderModel.layerRules(configuration)
        plan.host.teacher = layers.reduce(0) { $0 + weightBytes($1) }
        plan.device.teacher = weightBytes(rules) - plan.host.teacher + (layers.map { weightBytes($0) }.max() ?? 0)
    }

    // MARK: Activations

    private func activations(_ phase: TrainingPhase, _ plan: inout StagePlan, available: Int?) throws {
        let share = try RowShare(phase.stage, rank: 0, of: ranks), decoder = model.decoder
        guard phase.stage.kind != .select else { return }
        let tokens = share.rows.count * phase.length, size = precision.dtype.size
        let row = decoder.hiddenSize * tokens * size
        var floats = try DecoderModel.activationFloats(model)
        // A stage before may give heads their attention back, which are taken apart and joined.
        if try configuration.stages.contains(where: { $0.kind == .select }) && model.attention.heads.isEmpty {
            floats += (decoder.headCount + 2 * decoder.keyValueHeadCount) * decoder.headDim
        }
        let layer = floats * tokens * size
        // What flows back through a layer: gradients of the MLP's three inner tensors and of a few of the stream's width.
        let flow = (3 * decoder.intermediateSize * tokens + 4 * decoder.hiddenSize * tokens) * size
        if phase.stage.kind == .align {
            // A mixer forwards and back, and then the teacher's MLP, whose tensors are of other sizes and have other memory.
            plan.device.working = layer + 6 * row
            return
        }
        let teaches = phase.stage.kind == .distil && phase.stage.teacherShare > 0
        let logits = (teaches ? 2 : 1) * min(1 << 28, tokens * decoder.vocabularySize) * size
        let count = decoder.layerCount
        // Hidden states, their gradient, and the teacher's; where rows carry the state those of all rows of a text.
        let ends = 4 * row + (teaches && phase.stage.carry > 1 ? share.batches.count * phase.stage.carry * row : 0)
        // The teacher reads such rows at once, before there are the student's activations.
        let read = phase.stage.carry > 1 ? phase.stage.carry * flow : 0
        var budget = configuration.activationMemory
        if let available {
            budget = max(0, Self.usable(available) - plan.device.total - ends - max(logits, flow))
        }
        let keeps = layer > row ? max(0, (budget - count * row) / (layer - row)) : count
        plan.recomputedLayers = budget >= count * layer ? 0 : max(0, count - keeps)
        plan.device.activations = (count - plan.recomputedLayers) * layer + plan.recomputedLayers * row
        // Layers are computed again when those that were kept, which stand above them, are behind.
        let again = plan.recomputedLayers == count ? layer : 0
        let back = ends + max(logits, flow + again)
        plan.device.working = max(back, ends + read - plan.device.activations)
    }

    // MARK: Operations

    /// Multiplications and additions of matrix products: two a weight and token forwards, and as many each for the gradients of
    /// inputs and of weights.
    private func operations(_ phase: TrainingPhase, trained: [ParameterRule], recomputed: Int) throws -> Double {
        func weights(_ rules: some Sequence<ParameterRule>, _ configuration: ModelConfiguration) -> Double {
            rules.reduce(0) { sum, rule in
                guard rule.shape.count > 1 else { return sum }
                // Of experts those that a token goes through.
                let experts = configuration.decoder.experts
                let share =
                    rule.shape.count > 2 && rule.shape[0] == experts?.count
                    ? Double(experts?.active ?? 1) / Double(rule.shape[0]) : 1
                return sum + Double(rule.count) * share
            }
        }
        func layers(_ configuration: ModelConfiguration) throws -> Double {
            weights(try DecoderModel.layerRules(configuration).joined(), configuration)
        }
        let head = Double(model.decoder.vocabularySize * model.decoder.hiddenSize)
        switch phase.stage.kind {
        case .select: return 0
        case .align:
            let teacher = try teacher.map { try layers($0.configuration) } ?? 0
            return 2 * teacher + 6 * weights(trained, model)
        case .distil, .finetune:
            let student = try layers(model)
            let taught = phase.stage.kind == .distil && phase.stage.teacherShare > 0 ? teacher : nil
            let again = student * Double(recomputed) / Double(max(1, model.decoder.layerCount))
            let isWhole = phase.stage.lowRank.rank == 0
            let teacher = try taught.map { try layers($0.configuration) + head } ?? 0
            return 2 * teacher + 4 * (student + head) + 2 * again
                + (isWhole ? 2 * (student + head) : 6 * weights(trained, model))
        }
    }
}
