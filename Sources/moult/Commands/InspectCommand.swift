import ArgumentParser
import Checkpoints
import Foundation
import Models
import Support
import Tensors
import Tokenizers

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show a model's configuration, parameters, tensors and tokenizer.",
        discussion: """
            Of models that Moult cannot run, adapters and other .safetensors and .gguf files it shows what they are, why \
            they cannot be run, and their tensors.

            Example: moult inspect SmolLM2-135M --tensors
            """)

    @Argument(help: "A Hugging Face folder, or a .gguf or .safetensors file.") var model: String
    @Flag(help: "List every tensor, and a .gguf file's metadata.") var tensors = false
    @Flag(help: "Read every weight and count NaN and infinite values.") var check = false
    @OptionGroup var output: OutputOptions

    func run() throws {
        do { try show(ModelFiles.noted(model)) } catch let problem as CheckpointError where problem.isOfSoundFiles {
            // Without tensors there is nothing to show but why.
            guard let stored = try stored(problem) else { throw problem }
            try show(stored, problem: problem)
        }
    }

    /// What is in the files; nil where these are no files of tensors.
    private func stored(_ problem: CheckpointError) throws -> StoredModel? {
        do { return try StoredModel(path: model) } catch CheckpointError.notAModel { return nil }
    }

    private func show(_ files: ModelFiles) throws {
        let configuration = try ModelConfiguration(files.configuration)
        let (tokenizer, problem) = Tokenizer.find(files)
        let (attention, options) = (try configuration.attention, try options(configuration))
        let cost = try configuration.stateCost(), deviceCost = try configuration.stateCost(on: .cuda)
        let roundedCosts = try [CacheType.bfloat16, .codes].map {
            (type: $0, cost: try configuration.stateCost(cache: $0))
        }
        let nonFinite = check ? try countNonFinite([files.checkpoint]) : [:]
        let stored = files.checkpoint.tensors
        let decoder = configuration.decoder
        if output.json {
            var json: JSONObject = [
                "model_type": .string(decoder.modelType), "problem": .null,
                "parameters": .integer(Self.parameters(stored)),
                "bytes": .integer(stored.reduce(0) { $0 + $1.byteCount }),
                "layers": .integer(decoder.layerCount), "hidden_size": .integer(decoder.hiddenSize),
                "heads": .integer(decoder.headCount), "key_value_heads": .integer(decoder.keyValueHeadCount),
                "active_parameters": .integer(Self.parameters(stored, of: decoder)),
                "head_dim": .integer(decoder.headDim), "intermediate_size": .integer(decoder.intermediateSize),
                "vocabulary": .integer(decoder.vocabularySize), "tied_embeddings": .bool(decoder.tiedEmbeddings),
                "context": .integer(decoder.maximumPositions),
                "sliding_window": slidingWindow(configuration).map { .integer($0) } ?? .null,
                "rope": ropeValue(configuration),
                "beyond_llama": .object(decoder.beyondLlama),
                "slots": options.lazy.compactMap { $0.description?.options["slots"] }.first ?? .null,
                "window": options.first.map { .integer($0.window) } ?? .null,
                "mixer_options": .object(
                    JSONObject(options.map { ($0.name, .object($0.description?.options ?? JSONObject())) })),
                "mixers": .array(configuration.mixers.map { .string($0) }),
                "attention": configuration.mixerOptions[SoftmaxAttention.name] ?? .null,
                "state": .object([
                    "constant_bytes": .integer(cost.constant), "bytes_per_token": .integer(cost.perToken),
                    "bf16": value(roundedCosts[0].cost), "q8": value(roundedCosts[1].cost), "cuda": value(deviceCost),
                ]),
                "metadata": files.gguf.map { .object($0.summary) } ?? .null,
                "tensors": Self.json(stored),
                "tokenizer": tokenizer.map {
                    .object(["vocabulary": .integer($0.vocabularySize), "chat_template": .bool($0.chatTemplate != nil)])
                } ?? .null,
                "tokenizer_problem": problem.map { .string($0) } ?? .null,
            ]
            if check {
                json["non_finite"] = Self.json(nonFinite)
            }
            return try output.print(json)
        }
        var rows: [(String, String)] = [
            ("file", model),
            ("architecture", decoder.modelType),
            ("parameters", Self.sizeText(stored)),
            ("stored as", Self.formatText(stored)),
            ("layers", "\(decoder.layerCount): \(mixerText(configuration.mixers))"),
            (
                "hidden size",
                "\(decoder.hiddenSize), "
                    + (decoder.intermediateSize > 0 ? "MLP \(decoder.intermediateSize)" : "no MLP")
            ),
            ("heads", "\(decoder.headCount) of \(decoder.headDim), \(decoder.keyValueHeadCount) for keys and values"),
            ("positions", positionText(configuration)),
            ("context", "\(grouped(decoder.maximumPositions)) tokens"),
            (
                "vocabulary",
                "\(grouped(decoder.vocabularySize)), embeddings \(decoder.tiedEmbeddings ? "tied" : "not tied")"
            ),
            (
                "tokenizer",
                tokenizer.map {
                    "\(grouped($0.vocabularySize)) tokens\($0.chatTemplate == nil ? "" : ", chat template")"
                }
                    ?? problem.map { "none: \($0)" } ?? "none"
            ),
            ("state", "\(stateText(cost)); on a GPU \(stateText(deviceCost))"),
        ]
        if let experts = decoder.experts {
            rows.insert(("experts", Self.text(experts, stored, decoder)), at: 4)
        }
        for (type, rounded) in roundedCosts where rounded != cost {
            rows.append(("", "\(stateText(rounded)), with --cache-type \(type.rawValue)"))
        }
        let kept = configuration.mixers.contains(SoftmaxAttention.name) || !attention.heads.isEmpty
        if decoder.modelType == "moult", kept || attention.sinks > 0 {
            let heads =
                attention.heads.isEmpty
                ? "" : ", heads \(attention.keptHeads.map(\.description).joined(separator: ", "))"
            let span =
                (attention.window.map { "the last \(grouped($0)) tokens" } ?? "all tokens")
                + (attention.positions.summary.map { ", \($0)" } ?? "")
            rows.insert(
                (
                    "attention",
                    [
                        attention.sinks > 0 ? "the first \(attention.sinks) tokens" : nil,
                        kept ? "kept over \(span)\(heads)" : nil,
                    ].compactMap { $0 }.joined(separator: "; ")
                ), at: 5)
        }
        if check {
            rows.append(("weights", Self.checkText(nonFinite)))
        }
        if let window = slidingWindow(configuration) {
            let local = (0..<decoder.layerCount).filter(decoder.isLocal)
            let layers = local.isEmpty ? "softmax attention" : "attention of \(local.count) layers"
            rows.insert(("window", "\(layers) sees the last \(grouped(window)) tokens"), at: 5)
        }
        for mixer in options.reversed() {
            let window = mixer.window > 0 ? "beside a window of \(grouped(mixer.window)) tokens" : nil
            let line = mixer.description?.line
            let text = [line?.text, window].compactMap { $0 }.joined(separator: ", ")
            if !text.isEmpty { rows.insert((line?.label ?? mixer.name, text), at: 5) }
        }
        try Self.show(rows)
        try Self.showNonFinite(nonFinite)
        guard tensors else { return }
        if let gguf = files.gguf { try Self.show(gguf.summary) }
        try Self.show(stored)
    }

    /// The options of the mixers of a model, in the order of their layers, but of softmax attention.
    private func options(
        _ configuration: ModelConfiguration
    ) throws -> [(name: String, description: MixerDescription?, window: Int)] {
        var names: [String] = []
        for name in configuration.mixers where name != SoftmaxAttention.name && !names.contains(name) {
            names.append(name)
        }
        return try names.map { name in
            let mixer = try MixerRegistry.mixer(named: name)
            return (name, try mixer.description(configuration), try mixer.window(configuration) ?? 0)
        }
    }

    /// The source's own window of softmax attention, where it has an effect.
    private func slidingWindow(_ configuration: ModelConfiguration) -> Int? {
        let decoder = configuration.decoder
        let isOwn = decoder.modelType != "moult" || !decoder.globalLayers.isEmpty
        return isOwn && configuration.mixers.contains(SoftmaxAttention.name) ? decoder.slidingWindow : nil
    }

    /// Null where no layer has rotary positions.
    private func ropeValue(_ configuration: ModelConfiguration) -> JSONValue {
        let (decoder, scaling) = (configuration.decoder, configuration.decoder.ropeScaling)
        guard positionText(configuration) != "none", !decoder.hasLearnedPositions else { return .null }
        return .object([
            "theta": .number(decoder.ropeTheta), "type": .string(scaling?.type ?? "default"),
            "factor": scaling?.factor.map { .number($0) } ?? .null,
            "original_max_position_embeddings": scaling?.originalMaximumPositions.map { .integer($0) } ?? .null,
        ])
    }

    /// Tensors with values that are not finite, and how many.
    func countNonFinite(_ checkpoints: [any Checkpoint]) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        let bar = ProgressBar("checking weights", total: checkpoints.reduce(0) { $0 + $1.tensors.count })
        defer { bar.finish() }
        var done = 0
        for checkpoint in checkpoints {
            for tensor in checkpoint.tensors {
                done += 1
                try bar.update(done)
                guard !tensor.format.isOpaque else { continue }
                let found = try checkpoint.load(tensor.name).nonFiniteCounts()
                if found.nan + found.infinity > 0 { counts[tensor.name, default: 0] += found.nan + found.infinity }
            }
        }
        return counts
    }

    /// What tells a layer where a token stands; the mixers of flash-linear-attention have nothing of their own.
    private func positionText(_ configuration: ModelConfiguration) -> String {
        let decoder = configuration.decoder
        if decoder.hasLearnedPositions { return "learned, \(grouped(decoder.maximumPositions))" }
        func text(_ rope: DecoderConfiguration.Rope) -> String {
            "theta " + String(format: "%.12g", rope.theta) + (rope.scaling.map { ", \($0)" } ?? "")
        }
        let text = [
            "RoPE, " + text(.init(theta: decoder.ropeTheta, scaling: decoder.ropeScaling)),
            decoder.localRope.map { "\(text($0)) in layers with a window" },
            decoder.rotaryDim.map { "\($0) of \(decoder.headDim) dimensions" },
            decoder.unrotatedLayers.isEmpty
                ? nil : "none in layers \(decoder.unrotatedLayers.sorted().map(String.init).joined(separator: ", "))",
        ].compactMap { $0 }.joined(separator: "; ")
        guard configuration.names == .flashLinearAttention, decoder.modelType != "retnet" else { return text }
        return configuration.mixers.contains(SoftmaxAttention.name) ? "\(text), of softmax attention alone" : "none"
    }

    private func value(_ cost: StateCost) -> JSONValue {
        .object(["constant_bytes": .integer(cost.constant), "bytes_per_token": .integer(cost.perToken)])
    }

    private func stateText(_ cost: StateCost) -> String {
        if cost.perToken == 0 { return "\(ByteCount.text(cost.constant)), whatever the length" }
        let more = "\(grouped(cost.perToken)) bytes"
        return cost.constant == 0
            ? "\(more) for every token" : "\(ByteCount.text(cost.constant)) and \(more) more for every token"
    }

    /// "27 gsa, 3 attention (0, 7, 14)".
    private func mixerText(_ mixers: [String]) -> String {
        let kinds = Dictionary(grouping: mixers.indices, by: { mixers[$0] }).sorted {
            ($1.value.count, $0.value[0]) < ($0.value.count, $1.value[0])
        }
        return kinds.enumerated().map { order, kind in
            "\(kind.value.count) \(kind.key)"
                + (order > 0 ? " (\(kind.value.map(String.init).joined(separator: ", ")))" : "")
        }.joined(separator: ", ")
    }
}
