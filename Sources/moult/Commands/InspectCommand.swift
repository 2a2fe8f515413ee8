import ArgumentParser
import Checkpoints
import Foundation
import Models
import Support
import Tensors
import Tokenizers

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show a model's configuration, parameters, tensors and tokenizer.")

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Flag(help: "List every tensor.") var tensors = false
    @Flag(help: "Read every weight and count NaN and infinite values.") var check = false
    @OptionGroup var output: OutputOptions

    func run() throws {
        let files = try ModelFiles.noted(model)
        let configuration = try ModelConfiguration(files.configuration)
        let (tokenizer, problem) = Tokenizer.find(files)
        let attention = try configuration.attention
        let cost = try configuration.stateCost(), deviceCost = try configuration.stateCost(on: .cuda)
        let roundedCosts = try [CacheType.bfloat16, .codes].map {
            (type: $0, cost: try configuration.stateCost(cache: $0))
        }
        let nonFinite = check ? try countNonFinite(files.checkpoint) : [:]
        let stored = files.checkpoint.tensors
        let parameters = stored.reduce(0) { $0 + $1.shape.reduce(1, *) }
        let bytes = stored.reduce(0) { $0 + $1.byteCount }
        let formats = Dictionary(stored.map { ($0.format.rawValue, 1) }, uniquingKeysWith: +)
        let decoder = configuration.decoder
        if output.json {
            var json: Checkpoints.JSONObject = [
                "model_type": .string(decoder.modelType), "parameters": .integer(parameters), "bytes": .integer(bytes),
                "layers": .integer(decoder.layerCount), "hidden_size": .integer(decoder.hiddenSize),
                "heads": .integer(decoder.headCount), "key_value_heads": .integer(decoder.keyValueHeadCount),
                "head_dim": .integer(decoder.headDim), "intermediate_size": .integer(decoder.intermediateSize),
                "vocabulary": .integer(decoder.vocabularySize), "tied_embeddings": .bool(decoder.tiedEmbeddings),
                "mixers": .array(configuration.mixers.map { .string($0) }),
                "attention": configuration.mixerOptions[SoftmaxAttention.name] ?? .null,
                "state": .object([
                    "constant_bytes": .integer(cost.constant), "bytes_per_token": .integer(cost.perToken),
                    "bf16": json(roundedCosts[0].cost), "q8": json(roundedCosts[1].cost), "cuda": json(deviceCost),
                ]),
                "tensors": .array(
                    stored.map {
                        .object([
                            "name": .string($0.name), "shape": .array($0.shape.map { .integer($0) }),
                            "format": .string($0.format.rawValue), "bytes": .integer($0.byteCount),
                        ])
                    }),
                "tokenizer": tokenizer.map {
                    .object(["vocabulary": .integer($0.vocabularySize), "chat_template": .bool($0.chatTemplate != nil)])
                } ?? .null,
                "tokenizer_problem": problem.map { .string($0) } ?? .null,
            ]
            if check {
                json["non_finite"] = .object(
                    Checkpoints.JSONObject(nonFinite.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) }))
            }
            return try output.print(json)
        }
        var rows: [(String, String)] = [
            ("file", model),
            ("architecture", decoder.modelType),
            ("parameters", "\(grouped(parameters)) in \(stored.count) tensors, \(megabytes(bytes))"),
            ("stored as", formats.sorted { $0.key < $1.key }.map { "\($0.key) × \($0.value)" }.joined(separator: ", ")),
            ("layers", "\(decoder.layerCount): \(mixerText(configuration.mixers))"),
            ("hidden size", "\(decoder.hiddenSize), MLP \(decoder.intermediateSize)"),
            ("heads", "\(decoder.headCount) of \(decoder.headDim), \(decoder.keyValueHeadCount) for keys and values"),
            ("positions", positionText(configuration)),
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
                    "the first \(attention.sinks) tokens" + (kept ? "; kept over \(span)\(heads)" : "")
                ), at: 5)
        }
        if check {
            rows.append(
                ("weights", nonFinite.isEmpty ? "all finite" : "\(nonFinite.count) tensors with NaN or infinite values")
            )
        }
        for (label, value) in rows { try Output.line(label.padded(to: 14) + ForeignText.line(value)) }
        for (name, count) in nonFinite.sorted(by: { $0.key < $1.key }) {
            try Output.line("  \(ForeignText.line(name, limit: ForeignText.nameLimit)): \(grouped(count)) not finite")
        }
        if tensors {
            try Output.line()
            for tensor in stored {
                let name = ForeignText.line(tensor.name, limit: ForeignText.nameLimit)
                try Output.line("\(name.padded(to: 52)) \(tensor.format.rawValue.padded(to: 6)) \(tensor.shape)")
            }
        }
    }

    /// Tensors with values that are not finite, and how many.
    private func countNonFinite(_ checkpoint: any Checkpoint) throws -> [String: Int] {
        var counts: [String: Int] = [:]
        let bar = ProgressBar("checking weights", total: checkpoint.tensors.count)
        for (index, tensor) in checkpoint.tensors.enumerated() where !tensor.format.isOpaque {
            let found = try checkpoint.load(tensor.name).nonFiniteCounts()
            if found.nan + found.infinity > 0 { counts[tensor.name] = found.nan + found.infinity }
            try bar.update(index + 1)
        }
        bar.finish()
        return counts
    }

    /// What tells a layer where a token stands; the mixers of flash-linear-attention have nothing of their own.
    private func positionText(_ configuration: ModelConfiguration) -> String {
        let decoder = configuration.decoder
        let text =
            "RoPE, theta " + String(format: "%.12g", decoder.ropeTheta) + (decoder.ropeScaling.map { ", \($0)" } ?? "")
        guard configuration.names == .flashLinearAttention else { return text }
        return configuration.mixers.contains(SoftmaxAttention.name) ? "\(text), of softmax attention alone" : "none"
    }

    private func json(_ cost: StateCost) -> Checkpoints.JSONValue {
        .object(["constant_bytes": .integer(cost.constant), "bytes_per_token": .integer(cost.perToken)])
    }

    private func stateText(_ cost: StateCost) -> String {
        cost.perToken == 0
            ? "\(megabytes(cost.constant)), whatever the length"
            : "\(megabytes(cost.constant)) and \(grouped(cost.perToken)) bytes more for every token"
    }

    /// "27 gsa, 3 attention (0, 7, 14)".
    private func mixerText(_ mixers: [String]) -> String {
        let kinds = Dictionary(grouping: mixers.indices, by: { mixers[$0] }).sorted { $0.value.count > $1.value.count }
        return kinds.enumerated().map { order, kind in
            "\(kind.value.count) \(kind.key)"
                + (order > 0 ? " (\(kind.value.map(String.init).joined(separator: ", ")))" : "")
        }.joined(separator: ", ")
    }
}
