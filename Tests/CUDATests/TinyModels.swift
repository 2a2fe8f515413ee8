import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Training

/// A Transformer of random weights with heads that a GPU's kernels take, and models converted from it, in a folder that is
/// removed with its owner.
final class TinyModels: Sendable {
    /// A folder with the tokenizer.
    static let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../TrainingTests/Fixtures/teacher").standardized.path
    let path: String

    /// The conversions: every profile, with and without a window or a layer that keeps softmax attention.
    enum Kind: String, CaseIterable {
        case slots, window, hybrid, heads, scaled, fla, ownMixer
        case gla, gatedDeltaNet = "gated_deltanet", kda, mamba2, retention, hgrn2, rwkv7
        case flaGLA, flaRetention

        /// Those that have norms of what single heads read.
        static let published: [Kind] = [.flaGLA, .flaRetention]
        static let memories: [Kind] = [.gla, .gatedDeltaNet, .kda, .mamba2, .retention, .hgrn2, .rwkv7]

        var options: ConversionOptions {
            var options = ConversionOptions()
            (options.slots, options.window) = (4, [.window, .hybrid, .heads, .scaled].contains(self) ? 6 : 0)
            if self == .hybrid { options.keptAttention = [0] }
            if self == .heads { (options.keptAttention, options.attentionWindow) = (KeptAttention("1:0") ?? [], 9) }
            if self == .scaled {
                (options.keptAttention, options.attentionWindow) = (KeptAttention("0,1:0") ?? [], 0)
                options.attentionPositions = AttentionPositions(divisor: 4, hasLogScale: true)
            }
            if [.fla, .flaGLA, .flaRetention].contains(self) { options.profile = .fla }
            if self == .flaGLA { (options.mixer, options.slots) = ("gla", nil) }
            if self == .flaRetention { (options.mixer, options.slots) = ("retention", nil) }
            if Self.memories.contains(self) { (options.mixer, options.slots, options.window) = (rawValue, nil, 6) }
            if self == .ownMixer { (options.mixer, options.slots, options.window) = ("averaging", nil, 6) }
            return options
        }
    }

    /// A file with so many documents of many lengths.
    func text(documents: Int) throws -> String {
        let text = "\(path)/text.jsonl"
        let lines = (0..<documents).map { number in
            let words = (0..<5 + number * 7 % 40).map { "word\($0 * number % 13)" }
            return "{\"text\": \"\(words.joined(separator: " "))\"}\n"
        }
        try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: text))
        return text
    }

    /// - Parameter experts: what the Transformer is instead.
    init(experts: ExpertModel? = nil) throws {
        path = NSTemporaryDirectory() + "moult-cuda-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Self.source, toPath: teacher)
        if let experts {
            try FileManager.default.removeItem(atPath: "\(teacher)/model.safetensors")
            try experts.write(to: teacher)
            return
        }
        let file = URL(fileURLWithPath: "\(teacher)/config.json")
        let configuration = try String(contentsOf: file, encoding: .utf8)
            .replacing("\"head_dim\": 8", with: "\"head_dim\": 16")
            .replacing("\"hidden_size\": 16", with: "\"hidden_size\": 64")
            .replacing("\"num_attention_heads\": 2", with: "\"num_attention_heads\": 4")
            .replacing("\"num_key_value_heads\": 1", with: "\"num_key_value_heads\": 2")
        try Data(configuration.utf8).write(to: file)
        try writeWeights()
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var teacher: String { "\(path)/teacher" }

    private func writeWeights() throws {
        let rules = try DecoderModel.rules(ModelConfiguration(ModelFiles.open(teacher).configuration))
        try FileManager.default.removeItem(atPath: "\(teacher)/model.safetensors")
        let writer = try SafetensorsWriter(
            directory: teacher, tensors: rules.map { ($0.name, $0.shape, $0.shape.count < 2 ? .float32 : .bfloat16) })
        var random = Random(17)
        for rule in rules {
            let values = try random.tensor(rule.shape, scale: 0.2)
            try writer.append(
                rule.shape.count < 2
                    ? Tensor(values.array().map { 1 + $0 }, shape: rule.shape) : values.converted(to: .bfloat16))
        }
        try writer.finish()
    }

    /// A run of a model of ``converted(_:)`` on packed documents: two batches of two rows an update.
    func training(_ kind: Kind, _ stages: String) throws -> TrainingConfiguration {
        var configuration = TrainingConfiguration()
        (configuration.model, configuration.teacher) = (try converted(kind), teacher)
        configuration.data.train = [try text(documents: 40)]
        configuration.data.cache = "\(path)/tokens"
        configuration.data.validationShare = 0.1
        configuration.length = 24
        (configuration.validation.every, configuration.validation.rows) = (1000, 4)
        configuration.stages = try StageConfiguration.list(stages)
        for index in configuration.stages.indices {
            (configuration.stages[index].sequences, configuration.stages[index].accumulation) = (2, 2)
            configuration.stages[index].schedule.warmUpSteps = 2
        }
        return configuration
    }

    /// The losses of a run into the folder `name`.
    /// - Parameter stop: the step after which to stop.
    func train(
        _ configuration: TrainingConfiguration, _ name: String, on device: Device, resuming: Bool = false,
        stop: Int? = nil
    ) throws -> [Double] {
        struct Stop: Error {}
        let folder = try RunFolder(path: "\(path)/\(name)", model: configuration.model, resuming: resuming)
        let run = try TrainingRun(configuration, folder: folder, resuming: resuming, device: device) { _ in
            { _, _ in }
        }
        var losses: [Double] = []
        do {
            try run.train { event in
                guard case .step(let step) = event else { return }
                losses.append(step.loss)
                if step.step == stop { throw Stop() }
            }
        } catch is Stop {}
        return losses
    }

    /// The parameters of the student of the run `name`.
    func student(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)/student/model.safetensors"))
    }

    /// The folder of a converted model.
    func converted(_ kind: Kind) throws -> String {
        try MixerRegistry.register(AveragingMemory.self)
        let output = "\(path)/\(kind)"
        _ = try Converter(ModelFiles.open(teacher), options: kind.options).run(output: output)
        return output
    }
}
