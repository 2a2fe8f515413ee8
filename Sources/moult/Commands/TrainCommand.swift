import ArgumentParser
import CSupport
import Checkpoints
import Communication
import Foundation
import Models
import Support
import Tensors
import Text
import Tokenizers
import Training

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a converted model back to quality.",
        discussion: """
            Stages: align (each mixer learns its teacher's attention), distil (the whole model learns the teacher's
            distributions), finetune (cross-entropy on text). The output folder holds config.yaml with every setting,
            metrics.jsonl, TensorBoard events, checkpoints/, best/ and, at the end, student/.

            A stopped run goes on, bit for bit on the same machine, with: moult train --resume --output DIR
            and the --device, --gpus or --ranks that it had.

            What does not fit a GPU's memory can lie in the host's: --teacher-memory host, --optimizer-memory host. The
            results are the same to the bit, and a run may be resumed with another choice. See docs/gpu.md.

            Several GPUs: --gpus N on one machine; on several also torchrun, mpirun, srun and Kubernetes. The rows of a
            step are shared among the ranks, which must divide them. See docs/scaling.md.
            """)

    @Argument(help: "The model to train: a folder that 'moult convert' wrote.") var model: String?
    @Option(help: "The Transformer it was made from: a Hugging Face folder or a .gguf file.") var teacher: String?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            """
            Text or chats to train on: .txt, .jsonl, .ndjson (.zst, .gz) or .parquet files, folders, patterns; \
            FILE=WEIGHT mixes.
            """,
            valueName: "file"))
    var data: [String] = []
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Text to validate on. (default: 0.5% of --data, held apart)", valueName: "file"))
    var validation: [String] = []
    @OptionGroup var text: TextOptions
    @Option(help: "Folder of the run.") var output: String
    @Option(help: "A YAML file with settings; options given here come before it.") var config: String?
    @Option(
        help: """
            Stages and their tokens, with @ the length of their rows, such as distil=1M@4096, and with x how many of these \
            carry the state on, such as distil=1M@1024x8. \
            (default: align=100k,select=3,distil=300k; on cuda align=4.9M,select=3,distil=9M,distil=2.5M@1024x8; of few \
            heads at most a third is selected)
            """)
    var stages: String?
    @Option(help: "Tokens of a row. (default: 512; with cuda's own stages 1024)") var length: Int?
    @Option(
        help: """
            Share of the rows that ask for what stands in them, 0 to 0.999; see docs/recipe.md. \
            (default: 0.15 with the default stages, else 0)
            """)
    var recall: Double?
    @Option(help: "What a token of an answer in a recall row weighs in the loss, others being 1. (default: 1)")
    var answerWeight: Double?
    @Option(
        help:
            "When validation perplexity no longer falls: none (say so), lower the rate, or stop the stage. (default: none)"
    )
    var onPlateau: PlateauPolicy.Action?
    @Option(
        help: """
            Rank of the adapters that distil and finetune train instead of reused matrices (LoRA); 0 for none. See \
            docs/recipe.md. (default: 0)
            """)
    var loraRank: Int?
    @Option(help: "α of the adapters, whose scale is α / rank. (default: twice the rank)") var loraAlpha: Double?
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Linear maps that get adapters, such as '*.q_proj'. (default: all of reused matrices in mixers and MLPs)",
            valueName: "pattern"))
    var loraTargets: [String] = []
    @Option(help: "Where tokens are kept for other runs. (default: in the run's folder)") var cache: String?
    @Option(help: "Seed of the order of the data. (default: 0)") var seed: Int?
    @Flag(help: "Go on with the run in --output.") var resume = false
    @Option(help: "Where to train: cpu, cuda, or cuda:1 for another GPU.") var device = Device.cpu
    @Option(help: "Compute in f32 or bf16. (default: f32; on a GPU bf16)") var precision: Precision?
    @OptionGroup var memory: MemoryOptions
    @OptionGroup var ranks: RankOptions

    func validate() throws {
        try precision?.check(on: ranks.device(device, nil))
        if !resume, model == nil, config == nil { throw ValidationError("MODEL is needed, or --config, or --resume.") }
        let numbers = [
            length.map { "--length \($0)" }, seed.map { "--seed \($0)" }, recall.map { "--recall \($0)" },
            answerWeight.map { "--answer-weight \($0)" },
            loraRank.map { "--lora-rank \($0)" }, loraAlpha.map { "--lora-alpha \($0)" },
            loraTargets.first.map { "--lora-targets \($0)" },
            text.maxLineBytes.map { "--max-line-bytes \($0.bytes)" }, onPlateau.map { "--on-plateau \($0.rawValue)" },
        ]
        let texts = [model, teacher, config, stages, cache, data.first, validation.first, text.textKey]
        let given = (texts + numbers).compactMap { $0 }.first
        if resume, given != nil {
            throw ValidationError(
                "--resume: expected no other settings, since \(output)/config.yaml holds them; found '\(given ?? "")'.")
        }
    }

    func run() throws {
        let children = try ranks.children()
        guard children.isEmpty else { return try LocalRanks(launches: children).run() }
        if RankOptions.isChild { moult_end_with_parent() }
        let launch = try ranks.launch(), device = try ranks.device(device, launch)
        let configuration = try settings(on: device, isOurs: launch.map { $0.place.rank > 0 } ?? false)
        guard let launch else { return try train(configuration, RunTeam(), on: device) }
        let isSilent = RankOptions.isSilent(launch)
        do {
            let run = XXHash64.text(Data(try configuration.yaml().utf8))
            let ranks = try RankOptions.meet(launch, run: run, version: Moult.version, on: device)
            do {
                try train(configuration, RunTeam(ranks), on: device)
                try ranks.leave()
            } catch {
                // All were asked to stop, and have saved what there is.
                if error is RunStopped || (error as? ExitCode)?.isInterrupt == true {
                    try ranks.leave()
                } else {
                    ranks.leave(because: FlagWords.text(of: error))
                }
                throw error
            }
        } catch is RunStopped { throw ExitCode(128 + SIGTERM) } catch {
            if !(error is ExitCode), isSilent(error) { throw RankOptions.silentFailure }
            throw error
        }
    }

    /// Trains with the other ranks of `team`, of which one shows what happens.
    private func train(_ configuration: TrainingConfiguration, _ team: RunTeam, on device: Device) throws {
        let run = try prepare(configuration, team, on: device)
        guard team.writes else { return try run.train { _ in try Interrupt.check() } }
        let display = TrainingDisplay(totalSteps: run.totalSteps)
        defer { display.finish() }
        do { try run.train { try display.show($0) } } catch
            where !run.isComplete && (error is RunStopped || (error as? ExitCode)?.isInterrupt == true)
        {
            // This process was asked to stop, or another rank was.
            display.finish()
            let place =
                run.step > 0
                ? "stopped; everything up to step \(run.step) is saved. Go on" : "stopped before the first step. Begin"
            let more = (self.device == .cpu ? "" : " --device \(self.device)") + memory.words + ranks.words
            Terminal.note("\(place) with: moult train --resume --output \(ShellWord.quoted(output))\(more)")
            throw error
        } catch let code as ExitCode where code.isInterrupt {
            // It came with the last step: there is nothing left to stop.
        }
        display.finish()
        let best = "\(output)/best"
        let measured = FileManager.default.fileExists(atPath: best) ? ", best on validation: \(best)" : ""
        try Output.line("trained model: \(output)/student\(measured)")
    }

    private func prepare(
        _ configuration: TrainingConfiguration, _ team: RunTeam, on device: Device
    ) throws -> TrainingRun {
        let folder = try RunFolder(path: output, model: configuration.model, resuming: resume, team: team)
        do {
            return try TrainingRun(
                configuration, folder: folder, resuming: resume, device: device, precision: precision,
                memory: memory.placement, team: team
            ) { label in
                // From here on there is a folder to remove, and then a run to save.
                Interrupt.hold()
                guard team.writes else { return { _, _ in try Interrupt.check() } }
                let bar = ProgressBar(label, total: 1, unit: .bytes)
                return { done, total in
                    try bar.update(done, of: total)
                    if done == total { bar.finish() }
                }
            }
        } catch let code as ExitCode {
            if team.writes {
                Terminal.note("stopped before training began; " + (resume ? "the run is as it was" : "no run was made"))
            }
            throw code
        }
    }

    private func settings(on device: Device, isOurs: Bool) throws -> TrainingConfiguration {
        if resume { return try RunFolder.configuration(output, isOurs: isOurs) }
        var settings = try config.map { try TrainingConfiguration(path: $0) } ?? TrainingConfiguration()
        if let model { settings.model = model }
        if let teacher { settings.teacher = teacher }
        if !data.isEmpty { settings.data.train = data }
        if !validation.isEmpty { settings.data.validation = validation }
        if let textKey = text.textKey { settings.data.textKey = textKey }
        if let size = text.maxLineBytes { settings.data.maximumLineBytes = size.bytes }
        if let cache { settings.data.cache = cache }
        if let seed { settings.seed = seed }
        if let recall { settings.data.recall = recall }
        if let answerWeight { settings.data.answerWeight = answerWeight }
        if let onPlateau { settings.plateau.action = onPlateau }
        if let length { settings.length = length }
        if let stages { settings.stages = try StageConfiguration.list(stages, length: settings.length) }
        if settings.stages.isEmpty, !settings.model.isEmpty {
            try settings.fillStages(
                for: ModelConfiguration(ModelFiles.open(settings.model).configuration), on: device,
                keepsSettings: (
                    length: length != nil || config != nil, recall: recall != nil || config != nil,
                    frequency: config != nil
                ))
        }
        try settings.adapt(rank: loraRank, alpha: loraAlpha, targets: loraTargets)
        return settings
    }
}

extension PlateauPolicy.Action: ExpressibleByArgument {}

extension Device: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    /// What help and errors name.
    public static var allValueStrings: [String] { [Device.cpu, .cuda, .cuda(1)].map(\.description) }
}

extension Precision: ExpressibleByArgument {}

extension Precision {
    /// Refuses what `device` does not compute in.
    func check(on device: Device) throws {
        do { _ = try device.precision(self) } catch { throw ValidationError("--precision: \(error).") }
    }
}
