import Checkpoints
import Conversion
import Foundation
import Models
import Records
import Support
import Tensors
import Text
import Tokenizers

/// Runs the stages of a configuration: batches, updates, measurements, checkpoints. Everything that it does depends on
/// the configuration, the data, the parameters and ``TrainingState`` alone, so that a run that is resumed from a
/// checkpoint goes on bit for bit as if it had not been stopped.
final class Trainer {
    private let configuration: TrainingConfiguration
    private let course: TrainingCourse
    private var phases: [TrainingPhase] { course.phases }
    private let student: TrainableModel
    /// What conversion made: the stages' ``StageConfiguration/newParameterRate`` is theirs.
    private let newParameters: Set<String>
    /// The rates of matrices, relative to those of stages that want it; nil where none does.
    private let rateScales: RateScales?
    private let teacher: DecoderModel?
    /// What a stage `select` goes by.
    private let probe: SelectionProbe?
    /// The rows of each phase.
    private let rows: [TrainingRows]
    /// Where rows carry the state on, those that do not.
    private let ordinaryRows: [TrainingRows]
    /// What the student is measured on.
    let held: HeldRows
    /// What it is asked.
    private let questions: HeldRecall
    private let dataFingerprint: String
    private let folder: RunFolder
    private let origin: String
    private let card: StudentCard
    private let team: RunTeam
    /// Of every phase.
    private let plans: [StagePlan]
    /// This rank's rows of every phase.
    private let shares: [RowShare]
    private let report: (TrainingEvent) throws -> Void
    private var state = TrainingState()
    private var savedStep = 0
    /// The first thing that `report` threw: the run stops when the step in hand is complete.
    private var stop: (any Error)?
    private let clock = ContinuousClock()
    /// Batches that were read while the device was busy, and their first row.
    private var prepared: (first: Int, batches: [TrainingBatch])?
    /// The stage's updates.
    private var work: TrainingStep?
    /// What rows take over from those before them, as the checkpoint has it.
    private var restored: [String: Tensor] = [:]
    /// Whether a plateau has ended the stage before all its steps.
    private var isCutShort = false
    /// The rows of a stage that carries the state.
    private var long: LongRows?

    /// - Parameters:
    ///   - teacher: the Transformer, when a stage needs it.
    ///   - origin: a hash of the model and the teacher as they are before the run.
    ///   - card: what the students that are written say of the run.
    ///   - team: who works on the run.
    ///   - plans: of every phase.
    ///   - report: told of everything that happens. What it throws stops the run when the step in hand, with what is
    ///     due after it, is complete and saved; until then it is told on.
    init(
        _ configuration: TrainingConfiguration, student: TrainableModel, teacher: DecoderModel?, tokenizer: Tokenizer,
        data: TokenDataset, folder: RunFolder, origin: String, card: StudentCard, team: RunTeam,
        plans: [StagePlan], report: @escaping (TrainingEvent) throws -> Void
    ) throws {
        try configuration.validate()
        (self.configuration, self.student, self.teacher) = (configuration, student, teacher)
        (self.folder, self.origin, self.team, self.report) = (folder, origin, team, report)
        (self.card, self.plans) = (card, plans)
        let selects = configuration.stages.contains { $0.kind == .select }
        let texts = data.validationRows.prefix(selects ? Self.selectionTexts : 0)
            .map { Array($0.tokens.prefix(Self.selectionTokens)) }
        probe =
            selects
            ? SelectionProbe(tokenizer: tokenizer, texts: texts, seed: UInt64(configuration.seed)) : nil
        newParameters = Set(student.rules.filter { TrainableModel.isNew($0) }.map(\.name))
        rateScales = configuration.stages.contains { $0.rates == .relative } ? try RateScales(student) : nil
        held = HeldRows(data, limit: configuration.validation.rows)
        questions = try HeldRecall(
            tokenizer, length: configuration.length,
            questions: held.isEmpty ? 0 : configuration.validation.recallQuestions)
        let phases = try TrainingPhase.list(configuration, of: student.configuration)
        course = TrainingCourse(phases: phases, start: student.configuration, patience: configuration.patience)
        shares = try phases.map { try RowShare($0.stage, rank: team.rank, of: team.ranks) }
        rows = try phases.map { try data.rows(length: $0.length * $0.stage.carry) }
        ordinaryRows = try zip(phases, rows).map { $0.stage.carry == 1 ? $1 : try data.rows(length: $0.length) }
        dataFingerprint = data.fingerprint
        (state.held.rows, state.ranks) = (held.count, team.ranks)
        try team.requireSame("a model, a teacher, text and settings", fingerprint)
    }

    /// Steps of the whole run, less what stages were cut short by.
    var totalSteps: Int { course.totalSteps(in: state) }

    /// What a run's record begins with.
    func start(teacher: MetricsEvent.Start.Teacher?, resuming: Bool) -> MetricsEvent.Start {
        func count(_ rules: [ParameterRule]) -> Int { rules.reduce(0) { $0 + $1.count } }
        // All that stages train as it is, or of the stage with adapters that trains more.
        let whole = phases.filter { $0.stage.lowRank.rank == 0 }.reduce(into: Set()) { $0.formUnion(trained($1)) }
        let counts = phases.map { phase in
            let adapters = phase.stage.adapters(student.rules, configuration: student.configuration)
            let names = adapters.isEmpty ? whole : trained(phase)
            return count((student.rules + adapters).filter { names.contains($0.name) })
        }
        return MetricsEvent.Start(
            version: Moult.version,
            stages: phases.map {
                MetricsEvent.Start.Stage(
                    name: $0.stage.kind.rawValue, tokens: $0.stage.tokens, steps: $0.steps,
                    sequences: $0.rowsPerStep, length: $0.stage.length)
            },
            sequenceLength: configuration.length, recallShare: configuration.data.recall,
            parameters: count(student.rules),
            trainedParameters: counts.max() ?? 0, teacher: teacher,
            resumedFrom: resuming ? step : nil)
    }

    private func trained(_ phase: TrainingPhase) -> Set<String> {
        phase.trained(student.rules, configuration: student.configuration)
    }

    // MARK: The run

    /// Goes on from the latest checkpoint that is whole. Without one the run starts at the beginning.
    func resume() throws {
        var found: (checkpoint: TrainingCheckpoint, state: TrainingState)?
        let path = try team.word {
            found = try wholeCheckpoint()
            return found?.checkpoint.path ?? ""
        }
        guard !path.isEmpty else {
            return tell(.warning("\(folder.path): there is no whole checkpoint; the run starts at its beginning"))
        }
        let checkpoint = TrainingCheckpoint(path: path)
        state = try found?.state ?? checkpoint.state(fingerprint: fingerprint, isPossible: course.isPossible)
        // What was measured on other rows does not compare.
        if state.held.rows != held.count {
            (state.held, state.bestLoss) = (HeldMeasurements(rows: held.count), nil)
        }
        for head in state.kept { try keep(head) }
        if let phase = phases.indices.contains(state.stage) ? phases[state.stage] : nil {
            try student.begin(phase, seed: configuration.seed)
        }
        restored = try checkpoint.load(into: student)
        savedStep = state.step
        guard state.ranks != team.ranks else { return }
        guard restored.isEmpty else {
            throw TrainingError.run(
                path: path,
                expected: "as many ranks as it was saved by, \(state.ranks), since its rows go on with others",
                found: "\(team.ranks)")
        }
        tell(
            .warning(
                "\(folder.path): saved by \(state.ranks) rank\(state.ranks == 1 ? "" : "s"), resumed by \(team.ranks): "
                    + "the same rows, in the same steps, whose sums are equal to rounding"))
        state.ranks = team.ranks
    }

    /// The latest checkpoint that is whole, and its state.
    private func wholeCheckpoint() throws -> (checkpoint: TrainingCheckpoint, state: TrainingState)? {
        for checkpoint in folder.checkpoints {
            do {
                return (checkpoint, try checkpoint.state(fingerprint: fingerprint, isPossible: course.isPossible))
            } catch let error as TrainingError {
                guard case .file = error else { throw error }
                tell(.warning("\(error); looking for an earlier checkpoint"))
            }
        }
        return nil
    }

    private func keep(_ head: KeptHead) throws {
        guard let teacher else { return }
        try student.keep(head, teacher: teacher)
    }

    /// Where the run stands: the step that ``resume()`` found, or 0.
    var step: Int { state.step }
    var isComplete: Bool { state.stage >= phases.count }

    /// What the teacher makes of the rows that are held apart: measured once a run.
    func measureTeacher() throws -> HeldRows.Result? {
        guard let teacher, !held.isEmpty else { return nil }
        if let known = state.held.teacher, known.ranges == held.ranges { return known }
        let result = try held.measure(teacher, team: team)
        state.held.teacher = result
        return result
    }

    /// What the teacher answers of the questions of recall: asked once a run.
    func askTeacher() throws -> [HeldRecall.Result] {
        guard let teacher, !questions.isEmpty else { return [] }
        let known = state.held.teacherRecall
        if known.map(\.length) == questions.kinds.map(\.length),
            known.map(\.questions) == questions.kinds.map(\.questions)
        {
            return known
        }
        state.held.teacherRecall = try questions.measure(teacher, team: team)
        return state.held.teacherRecall
    }

    /// Trains to the end, or until `report` throws.
    func run() throws {
        tell(.started(done: state.step, total: totalSteps))
        if student.device.traits.hasOwnMemory, !isComplete { tell(.planned(Array(plans[state.stage...]))) }
        if !questions.isEmpty, !isComplete {
            let teacher = state.held.teacherRecall
            let kinds = questions.kinds.map { kind in
                (kind.length, kind.questions, teacher.first { $0.length == kind.length }?.accuracy)
            }
            tell(.asking(.init(kinds: kinds, chance: HeldRecall.chance, tokens: questions.tokens)))
        }
        if state.step == 0 { try measure() }
        try stopIfAsked()
        while state.stage < phases.count {
            let phase = phases[state.stage]
            try student.device.forgetPeak()
            if state.stageStep == 0 {
                try student.begin(phase, seed: configuration.seed)
                state.watch = RunWatch(loss: state.held.last, step: state.step)
            }
            (prepared, long) = (nil, longRows(phase))
            if phase.stage.kind == .select { try select(phase.stage.tokens) } else { try run(phase) }
            if state.stageStep < phase.steps { state.shortened.append((state.stage, state.stageStep)) }
            tell(.stageEnded(phase.stage.kind, step: state.step))
            (state.stage, state.stageStep, work) = (state.stage + 1, 0, nil)
            try student.endStage()
            try save()
            try stopIfAsked()
        }
        try write(.final, loss: state.held.last)
        tell(.ended(complete: true))
        if let stop { throw stop }
    }

    private func tell(_ event: TrainingEvent) {
        do { try report(event) } catch { stop = stop ?? error }
    }

    private func stopIfAsked() throws {
        guard try team.any(stop != nil) else { return }
        tell(.ended(complete: false))
        throw stop ?? RunStopped()
    }

    private func run(_ phase: TrainingPhase) throws {
        let objective = Objective(
            phase.stage, student: student, teacher: teacher,
            layers: phase.layers.filter { student.configuration.mixers[$0] != SoftmaxAttention.name },
            recomputedLayers: plans[state.stage].recomputedLayers,
            partners: shares[state.stage].isOfBatches ? team : RunTeam())
        let (isNew, scales) = (newParameters, phase.stage.rates == .relative ? rateScales : nil)
        let work = TrainingStep(
            objective, optimiser: phase.stage.optimiser, student: student, restored: restored
        ) { phase.stage.rate(of: $0, isNew: isNew.contains($0), scales: scales) }
        (self.work, restored, isCutShort) = (work, [:], false)
        while state.stageStep < phase.steps, !isCutShort {
            let start = clock.now
            let result = try step(phase, work)
            try follow(phase, result, seconds: start.duration(to: clock.now) / .seconds(1))
        }
    }

    // MARK: Selection

    /// Rows of the text that is held apart on which the distance from the teacher is shown, and tokens of each.
    private static let (selectionTexts, selectionTokens) = (1, 256)

    /// Gives up to `count` heads their softmax attention back.
    private func select(_ count: Int) throws {
        guard let teacher, let probe else { return }
        var selection = try HeadSelection(
            .init(count: count), student: student.model(), teacher: teacher, probe: probe, team: team
        ) {
            self.tell(.selecting($0, $1))
            if let stop = self.stop { throw stop }
        }
        let result: HeadSelection.Result
        do { result = try selection.run() } catch {
            if stop != nil || error is RunStopped { tell(.ended(complete: false)) }
            throw error
        }
        let chosen = result.chosen.compactMap(\.kept)
        for head in chosen { try keep(head) }
        state.kept += chosen
        let memory = try student.configuration.stateCost(on: student.device)
        tell(.selected(result, step: state.step, memory: memory))
    }

    // MARK: Steps

    private struct StepResult {
        var loss: Double
        var layers: [Int: Double]
        var rate: Double
        var outcome: AdamW.Outcome
    }

    private func step(_ phase: TrainingPhase, _ work: TrainingStep) throws -> StepResult {
        let stage = phase.stage
        let batches = prepared.flatMap { $0.first == state.rows ? $0.batches : nil } ?? batches(phase)
        prepared = nil
        state.rows += phase.rowsPerStep
        state.tokens += phase.tokensPerStep
        (state.step, state.stageStep) = (state.step + 1, state.stageStep + 1)
        let rate = stage.schedule.rate(step: state.stageStep, of: phase.steps) * state.watch.rateShare
        let count = long?.batchesPerStep ?? stage.accumulation
        let result = try work.run(batches, of: count, learningRate: rate, step: state.stageStep) {
            if student.device.traits.worksAside { prepared = (state.rows, self.batches(phase)) }
        }
        return StepResult(loss: result.loss, layers: result.layers, rate: rate, outcome: result.outcome)
    }

    /// This rank's batches of the next update.
    private func batches(_ phase: TrainingPhase) -> [TrainingBatch] {
        let (rows, sequences) = (rows[state.stage], phase.stage.sequences)
        let firstOfStage = state.rows - state.stageStep * phase.rowsPerStep
        if let batches = long?.batches(step: state.stageStep, first: firstOfStage) { return batches }
        let (share, weight) = (shares[state.stage], configuration.data.answerWeight)
        return share.batches.map { part in
            let first = state.rows + part * sequences, all = (first..<first + sequences).map { rows[$0] }
            return TrainingBatch(
                Array(all[share.rows]), answerWeight: weight, device: student.device,
                whole: share.isOfBatches ? TrainingBatch(all, answerWeight: weight).whole : nil)
        }
    }

    private func longRows(_ phase: TrainingPhase) -> LongRows? {
        guard phase.stage.carry > 1 else { return nil }
        return LongRows(
            phase.stage, share: shares[state.stage], length: phase.length, rows: rows[state.stage],
            ordinary: ordinaryRows[state.stage], answerWeight: configuration.data.answerWeight, device: student.device)
    }

    /// What comes after an update: the report, and measurements and checkpoints when they are due.
    private func follow(_ phase: TrainingPhase, _ result: StepResult, seconds: Double) throws {
        let stage = phase.stage
        var (norm, findings): (Double?, [RunWatch.Finding]) = (nil, state.watch.stepped(result.loss))
        switch result.outcome {
        case .updated(let gradientNorm): (norm, state.skippedInARow) = (gradientNorm, 0)
        case .skipped(let parameter):
            (state.skipped, state.skippedInARow) = (state.skipped + 1, state.skippedInARow + 1)
            findings += state.watch.skipped(parameter)
            guard state.skippedInARow < configuration.patience else {
                throw TrainingError.diverged(
                    step: state.step, count: state.skippedInARow, parameter: parameter,
                    checkpoint: folder.checkpoints.first?.path)
            }
        }
        tell(
            .step(
                TrainingEvent.Step(
                    step: state.step, stage: stage.kind, stageStep: state.stageStep, stageSteps: phase.steps,
                    totalSteps: totalSteps,
                    tokens: state.tokens, loss: result.loss, learningRate: result.rate, gradientNorm: norm,
                    tokensPerSecond: Double(phase.tokensPerStep) / seconds,
                    skipped: state.skipped, seconds: seconds, deviceBytes: try student.device.peakMemory())))
        for finding in findings { notice(finding) }
        var isLast = state.stageStep == phase.steps
        if isLast || state.step % configuration.validation.every == 0 {
            if !result.layers.isEmpty { tell(.alignment(step: state.step, layers: result.layers)) }
            try measure()
            isLast = isLast || isCutShort
        }
        // The end of a stage is saved with the beginning of the next.
        guard !isLast else { return }
        let isDue = state.step % configuration.checkpoints.every == 0 && state.skippedInARow == 0
        if try isDue || team.any(stop != nil) { try save() }
        try stopIfAsked()
    }

    // MARK: Measuring and saving

    /// The loss on the rows held apart; the student with the lowest is kept.
    private func measure() throws {
        guard !held.isEmpty else { return }
        let model = try student.model()
        let (result, recall) = (try held.measure(model, team: team), try questions.measure(model, team: team))
        let loss = result.loss
        let isBest = loss.isFinite && loss < state.bestLoss ?? .infinity
        if isBest {
            state.bestLoss = loss
            if state.step > 0 { try write(.best, loss: loss) }
        }
        state.held.last = loss
        if state.step == 0 { state.held.untrained = loss }
        let stage = phases[min(state.stage, phases.count - 1)].stage.kind
        // Before the stage's end there is something to change.
        let action = isStageAtEnd ? .none : configuration.plateau.action
        let findings = state.watch.measured(
            loss, step: state.step, patience: configuration.plateau.patience, acts: action != .none)
        let left = phases.dropFirst(state.stage).reduce(-state.stageStep) { $0 + $1.steps }
        isCutShort = action == .stop && findings.contains { if case .plateau = $0 { true } else { false } }
        let isLast = left == 0 || isCutShort && phases.dropFirst(state.stage + 1).allSatisfy { $0.steps == 0 }
        tell(
            .measured(
                TrainingEvent.Measurement(
                    step: state.step, stage: stage, tokens: state.tokens, result: result, recall: recall,
                    isBest: isBest, isLast: isLast)))
        for finding in findings { notice(finding, action) }
    }

    private var isStageAtEnd: Bool {
        !phases.indices.contains(state.stage) || state.stageStep == phases[state.stage].steps || state.step == 0
    }

    /// Says what was found, and does about a plateau what the configuration asks for.
    private func notice(_ finding: RunWatch.Finding, _ action: PlateauPolicy.Action = .none) {
        let phase = phases[min(state.stage, phases.count - 1)], name = phase.stage.kind.rawValue
        var done: String?
        if case .plateau = finding {
            switch action {
            case .none: done = isStageAtEnd ? "the stage '\(name)' ends here" : nil
            case .lower:
                state.watch.lower(by: configuration.plateau.factor)
                done = "the learning rate is now \(Figures.short(state.watch.rateShare)) of its schedule's"
            case .stop:
                done = "the stage '\(name)' ends here, after \(state.stageStep) of its \(phase.steps) steps"
            }
        }
        tell(
            .noticed(
                RunNotice(finding, step: state.step, stage: name, done: done, patience: configuration.patience)))
    }

    private func write(_ kind: RunFolder.Student, loss: Double?) throws {
        let record = card.record(
            kind, stages: course.stages(in: state), step: state.step, of: totalSteps, held: state.held, loss: loss)
        try folder.writeStudent(student, as: kind, record: record)
    }

    private func save() throws {
        guard state.step > savedStep || state.stageStep == 0 else { return }
        // Between long rows nothing is taken over.
        let phase = phases.indices.contains(state.stage) ? phases[state.stage] : nil
        let carried = state.stageStep % (phase?.stage.carry ?? 1) == 0 ? [] : try work?.snapshot() ?? []
        savedStep = state.step
        let checkpoint = try TrainingCheckpoint.save(
            student, carried: carried, state: state, fingerprint: fingerprint, folder: folder.checkpointFolder,
            keep: configuration.checkpoints.keep)
        if let checkpoint { tell(.saved(step: state.step, path: checkpoint.path)) }
    }

    /// What a checkpoint must have in common with the run that goes on from it.
    private var fingerprint: String {
        var same = configuration
        // Where things are, and how often the run is measured and saved, changes no parameter; what they hold is in the
        // hashes.
        (same.model, same.teacher, same.data.train, same.data.validation) = ("", nil, [], [])
        (same.data.cache, same.validation, same.checkpoints) = (nil, .init(), .init())
        // What is done about a plateau may be decided when it is there.
        same.plateau = .init()
        let text = (try? same.yaml(isHashed: true)) ?? ""
        return XXHash64.text(Foundation.Data((text + dataFingerprint + origin).utf8))
    }
}
