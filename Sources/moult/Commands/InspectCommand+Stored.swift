import Checkpoints
import Support
import Tokenizers

extension InspectCommand {
    /// Shows what Moult cannot run: what it is, why, and its tensors.
    /// - Parameter problem: why it cannot be run.
    func show(_ stored: StoredModel, problem: CheckpointError) throws {
        let tensors = stored.checkpoints.flatMap(\.tensors)
        let nonFinite = check ? try countNonFinite(stored.checkpoints) : [:]
        if output.json {
            var json: JSONObject = [
                "what": .string(stored.summary), "problem": .string("\(problem)"),
                "architecture": stored.architecture.map { .string($0) } ?? .null,
                "parameters": .integer(Self.parameters(tensors)),
                "bytes": .integer(tensors.reduce(0) { $0 + $1.byteCount }), "metadata": .object(stored.metadata),
                "tensors": Self.json(tensors),
            ]
            if check { json["non_finite"] = Self.json(nonFinite) }
            return try output.print(json)
        }
        var rows = [
            ("file", self.model), ("what", stored.summary), ("not run", "\(problem)"),
            ("parameters", Self.sizeText(tensors)), ("stored as", Self.formatText(tensors)),
        ]
        if check { rows.append(("weights", Self.checkText(nonFinite))) }
        try Self.show(rows)
        try Self.showNonFinite(nonFinite)
        try Self.show(stored.metadata)
        try Self.show(tensors)
    }

    static func parameters(_ tensors: [TensorDescription]) -> Int { tensors.reduce(0) { $0 &+ $1.count } }

    /// Those that a token takes.
    static func parameters(_ tensors: [TensorDescription], of decoder: DecoderConfiguration) -> Int {
        max(0, parameters(tensors) - decoder.idleParameters)
    }

    /// "8 of width 14,336 in 32 of 32 layers; a token takes 2, and 12,879,925,248 parameters".
    static func text(
        _ experts: ExpertMixture, _ tensors: [TensorDescription], _ decoder: DecoderConfiguration
    ) -> String {
        "\(experts.count) of width \(grouped(experts.width)) in \(decoder.expertLayers.count) of \(decoder.layerCount) layers; "
            + "a token takes \(experts.active), and \(grouped(parameters(tensors, of: decoder))) parameters"
    }

    static func sizeText(_ tensors: [TensorDescription]) -> String {
        "\(grouped(parameters(tensors))) in \(tensors.count) \(tensors.count == 1 ? "tensor" : "tensors"), "
            + ByteCount.text(tensors.reduce(0) { $0 + $1.byteCount })
    }

    static func formatText(_ tensors: [TensorDescription]) -> String {
        Dictionary(tensors.map { ($0.format.rawValue, 1) }, uniquingKeysWith: +).sorted { $0.key < $1.key }
            .map { "\($0.key) × \($0.value)" }.joined(separator: ", ")
    }

    static func checkText(_ nonFinite: [String: Int]) -> String {
        nonFinite.isEmpty ? "all finite" : "\(nonFinite.count) tensors with NaN or infinite values"
    }

    static func json(_ tensors: [TensorDescription]) -> JSONValue {
        .array(
            tensors.map {
                .object([
                    "name": .string($0.name), "shape": .array($0.shape.map { .integer($0) }),
                    "format": .string($0.format.rawValue), "bytes": .integer($0.byteCount), "file": .string($0.file),
                ])
            })
    }

    static func json(_ counts: [String: Int]) -> JSONValue {
        .object(JSONObject(counts.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) }))
    }

    static func show(_ rows: [(label: String, value: String)]) throws {
        for (label, value) in rows { try Output.line(label.padded(to: 14) + ForeignText.line(value)) }
    }

    static func showNonFinite(_ counts: [String: Int]) throws {
        for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
            try Output.line("  \(ForeignText.line(name, limit: ForeignText.nameLimit)): \(grouped(count)) not finite")
        }
    }

    static func show(_ metadata: JSONObject) throws {
        guard !metadata.pairs.isEmpty else { return }
        try Output.line()
        for (key, value) in metadata.pairs {
            let name = ForeignText.line(key, limit: ForeignText.nameLimit)
            try Output.line(name.padded(to: 44) + ForeignText.line(value.stringValue ?? value.text()))
        }
    }

    static func show(_ tensors: [TensorDescription]) throws {
        let files = Set(tensors.map(\.file))
        var file: String?
        for tensor in tensors {
            if file != tensor.file {
                file = tensor.file
                try Output.line(files.count > 1 ? "\n\(ForeignText.line(tensor.file))" : "")
            }
            let name = ForeignText.line(tensor.name, limit: ForeignText.nameLimit)
            try Output.line(
                "\(name.padded(to: 52)) \(tensor.format.rawValue.padded(to: 8)) \("\(tensor.shape)".padded(to: 16)) "
                    + ByteCount.text(tensor.byteCount))
        }
    }
}

extension CheckpointError {
    /// Whether the files are sound, and only nothing that can be run.
    var isOfSoundFiles: Bool {
        switch self {
        case .unsupported, .notAModel: true
        default: false
        }
    }
}
