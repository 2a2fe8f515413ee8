import Models
import Tensors

/// The work of one update: batches forwards and back, then the optimiser. On a GPU it is done by hand once, then recorded,
/// and from then on all its kernels are started by one call, with the batch and the rates in the memory that they read.
final class TrainingStep {
    let objective: Objective
    private let optimiser: AdamW
    let student: TrainableModel
    private let rateScale: (String) -> Double
    var team: RunTeam { student.team }
    private var inputs: [BatchTensors] = []
    private var rates: Tensor?
    /// What the rows of each batch take over from those before them, where they go on with others.
    var carried: [CarriedRows] = []
    /// What they took over when the run was stopped.
    let restored: [String: Tensor]
    /// The teacher's final hidden states of the long rows in hand.
    var taught: (group: Int, hidden: [Tensor])?
    private var recorded: (graph: any RecordedWork, given: Given)?
    private var steps = 0

    /// What has been given to the device and can be read when it is done.
    private struct Given {
        var results: [Objective.Result] = []
        var update: AdamW.Pending?
    }

    struct Result {
        /// The mean over the batches of all ranks.
        var loss: Double
        var layers: [Int: Double]
        var outcome: AdamW.Outcome
    }

    /// - Parameter restored: what ``snapshot()`` gave of the same step.
    init(
        _ objective: Objective, optimiser: AdamW, student: TrainableModel,
        restored: [String: Tensor] = [:], rateScale: @escaping (String) -> Double
    ) {
        (self.objective, self.optimiser, self.student, self.rateScale) = (objective, optimiser, student, rateScale)
        self.restored = restored
    }

    /// - Parameters:
    ///   - batches: this rank's.
    ///   - count: batches of the step that are not parts of each other, of all ranks.
    ///   - meanwhile: called when the work has been given to the device, which is then busy with it.
    func run(
        _ batches: [TrainingBatch], of count: Int, learningRate: Double, step: Int, meanwhile: () -> Void
    ) throws -> Result {
        steps += 1
        let rates = AdamWSettings.Rates(learningRate: learningRate, step: step, gradientScale: 1 / Double(count))
        try turn(to: batches)
        let given = try student.device.traits.recordsWork ? recording(batches, rates) : work(batches, rates)
        meanwhile()
        // Where another has died, what has come of the step is worth nothing.
        let values = try zip(given.results, batches).map { try objective.read($0, of: $1) }
        try team.communicator.check()
        let loss = values.reduce(0) { $0 + $1.loss / Double(count) }
        let layers = values.reduce(into: [Int: Double]()) {
            $0.merge($1.layers.mapValues { $0 / Double(count) }, uniquingKeysWith: +)
        }
        let places = layers.keys.sorted()
        let all = try team.sum([loss] + places.map { layers[$0] ?? 0 })
        return Result(
            loss: all[0], layers: Dictionary(uniqueKeysWithValues: zip(places, all.dropFirst())),
            outcome: try given.update?.read(loss: all[0]) ?? .skipped(parameter: nil))
    }

    private func work(_ batches: [TrainingBatch], _ rates: AdamWSettings.Rates) throws -> Given {
        var given = Given()
        var loss = 0.0
        for (index, batch) in batches.enumerated() {
            let result = try objective.accumulate(tensors(of: batch, index))
            loss += try objective.read(result, of: batch).loss
            given.results.append(result)
        }
        // With a loss that is not finite nothing may change, even where the gradients are.
        let isFinite = try !team.any(!loss.isFinite)
        let lossTensor = isFinite ? nil : try Tensor([Float.nan], shape: [])
        given.update = try optimiser.step(
            student, student.takeSummedGradients(), optimiser.settings(rates, loss: lossTensor),
            rateScale: rateScale)
        return given
    }

    private func recording(_ batches: [TrainingBatch], _ rates: AdamWSettings.Rates) throws -> Given {
        let settings = optimiser.settings(rates)
        if inputs.isEmpty {
            inputs = try batches.enumerated().map { try tensors(of: $1, $0) }
            self.rates = try Tensor(settings.deviceRates, shape: [5]).to(student.device)
        } else {
            for (index, batch) in batches.enumerated() { try inputs[index].fill(batch, target: target(index, batch)) }
            try self.rates?.overwrite(settings.deviceRates)
        }
        // The first step compiles kernels, fills tables and makes the gradients that later ones add to.
        guard steps > 1 else { return try give(rates) }
        if recorded == nil {
            var given = Given()
            let graph = try student.device.record { given = try give(rates) }
            recorded = (graph, given)
        }
        try recorded?.graph.run()
        return recorded?.given ?? Given()
    }

    private func give(_ rates: AdamWSettings.Rates) throws -> Given {
        let buckets = team.isAlone ? nil : GradientBuckets(student)
        let results = try inputs.enumerated().map {
            buckets?.isLast = $0 == inputs.count - 1
            return try objective.accumulate($1, into: buckets)
        }
        let gradients = try buckets?.finish() ?? student.takeGradients()
        let loss = try team.united(results.last?.anyLoss)
        let settings = optimiser.settings(rates, input: self.rates, loss: loss)
        return Given(
            results: results, update: try optimiser.step(student, gradients, settings, rateScale: rateScale))
    }
}
