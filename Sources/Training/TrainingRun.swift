import Checkpoints
import Communication
import Foundation
import Models
import Records
import Support
import Tensors
import Text
import Tokenizers

/// A run from its configuration: reads the models, prepares the data, and trains into a folder.
public final class TrainingRun {
    private let trainer: Trainer
    private let resuming: Bool
    private let folder: RunFolder
    private let team: RunTeam
    /// Of who writes.
    private let hold: RunHold?
    private let student: ModelConfiguration
    private let device: Device
    private let teacher: (name: String, model: DecoderModel)?
    private var watch: (TrainingEvent) throws -> Void = { _ in }

    /// Steps of the whole run.
    public var totalSteps: Int { trainer.totalSteps }
    /// Steps that are done.
    public var step: Int { trainer.step }
    /// Whether all steps are done.
    public var isComplete: Bool { trainer.isComplete }
    /// What whoever starts the run should know.
    private let warnings: [String]

    /// - Parameters:
    ///   - precision: what to compute in; nil for what `device` computes in unless asked.
    ///   - memory: where the optimiser's state and the teacher lie, which changes no result.
    ///   - team: who works on the run: each of these processes makes it, and trains.
    ///   - progress: asked once for every long preparation, with its name, for a function that gets what is done and in
    ///     all; throwing there stops.
    public init(
        _ configuration: TrainingConfiguration, folder: RunFolder, resuming: Bool, device: Device = .cpu,
        precision: Precision? = nil, memory: MemoryPlacement = MemoryPlacement(), team: RunTeam = RunTeam(),
        progress: (String) -> (Int, Int) throws -> Void
    ) throws {
        let configuration = configuration.withAbsolutePaths()
        if resuming { try configuration.checkPaths(file: folder.configurationPath) }
        let plan = try RunPlan(configuration)
        for stage in configuration.stages { _ = try RowShare(stage, rank: team.rank, of: team.ranks) }
        (self.resuming, self.folder, self.device, self.team) = (resuming, folder, device, team)
        warnings = resuming ? [] : plan.warnings
        let planner = try StagePlanner(
            plan, configuration, device: device, precision: device.precision(precision), ranks: team.ranks,
            placement: memory)
        let available = try device.memoryUse()?.available
        var plans = try planner.plans(available: available.map(team.least))
        let student = try TrainableModel(
            plan.student, as: nil, device: device, precision: precision, optimiserIn: memory.optimiser, team: team)
        let teacher = try plan.teacher.map { try Self.teacher($0, of: student, in: memory.teacher) }
        try planner.addSpeeds(to: &plans, of: student)
        self.student = student.configuration
        self.teacher = teacher.map { (plan.teacherName, $0) }
        let origin = try plan.student.contentHash() + (plan.teacher?.contentHash() ?? "")
        var report: (TrainingEvent) throws -> Void = { _ in }
        hold = try team.writes ? RunHold(folder, resuming: resuming) : nil
        do {
            let data = try team.afterWriter {
                try TokenDataset(
                    plan.sources, tokenizer: plan.tokenizer, seed: UInt64(configuration.seed),
                    cache: configuration.data.cache ?? folder.tokenFolder, progress: progress("tokenising"))
            }
            trainer = try Trainer(
                configuration, student: student, teacher: teacher, tokenizer: plan.tokenizer, data: data,
                folder: folder, origin: origin,
                card: plan.card, team: team, plans: plans, report: { try report($0) })
            if !resuming { try team.writing { try folder.write(configuration) } }
        } catch {
            hold?.discard()
            throw error
        }
        report = { [unowned self] in try watch($0) }
    }

    /// Trains to the end, or until `watch` throws, which it may at any event; what happens is recorded in the folder.
    public func train(_ watch: @escaping (TrainingEvent) throws -> Void) throws {
        self.watch = watch
        if resuming { try trainer.resume() }
        let recorder = try recorder()
        self.watch = {
            try recorder?.record($0)
            try watch($0)
        }
        // What a run records ends with the run; the recorder's files are closed then.
        defer { self.watch = watch }
        for warning in warnings { try self.watch(.warning(warning)) }
        do { try trainer.run() } catch let error where error is TrainingError || error is CommunicationError {
            recorder?.failed(error)
            throw error
        }
    }

    private func recorder() throws -> RunRecorder? {
        let (measured, recall) = (try trainer.measureTeacher(), try trainer.askTeacher())
        guard team.writes else { return nil }
        let start = trainer.start(
            teacher: teacher.map { .init(name: $0.name, perplexity: measured.map { exp($0.loss) }) }, resuming: resuming
        )
        let memory = MetricsEvent.Memory(
            teacher: try teacher?.model.configuration.stateCost(on: device), student: try student.stateCost(on: device))
        return try RunRecorder(
            folder, start: start, memory: memory, layers: student.decoder.layerCount, teacher: measured,
            recall: recall)
    }

    private static func teacher(
        _ files: ModelFiles, of student: TrainableModel, in memory: MemoryKind
    ) throws -> DecoderModel {
        // Products in bfloat16 are what the student trains with; float32 where that is what it has.
        try DecoderModel.load(files, as: files.kind == .gguf ? student.weightType : nil)
            .to(student.device, precision: student.precision, layersIn: memory)
    }
}

extension ModelFiles {
    /// A hash of the configuration and of the files with weights, whatever their names.
    fileprivate func contentHash() throws -> String {
        let json = JSONValue.object(configuration.json).text()
        let weights = try Set(checkpoint.tensors.map(\.file)).sorted().map { path in
            let file = try MappedFile(path: path)
            return withExtendedLifetime(file) { XXHash64.text(file.bytes) }
        }
        return XXHash64.text(Data((json + weights.joined()).utf8))
    }
}
