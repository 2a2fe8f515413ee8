import Checkpoints
import Foundation
import Models
import Support

/// What a conversion did (or, from a plan alone, would do): for people, as JSON, and as a step of the model's record.
public struct ConversionReport: Sendable {
    /// What was, or would be, done with each tensor.
    public let plan: ConversionPlan
    /// Tensors with NaN or infinite values, and how many.
    public let nonFinite: [String: Int]
    /// Names of the files of the tokenizer that the target has.
    public let tokenizerFiles: [String]
    /// Why the target has no tokenizer.
    public let tokenizerWarning: String?

    /// A report on `plan`; without the other arguments on a plan alone.
    public init(
        _ plan: ConversionPlan, nonFinite: [String: Int] = [:], tokenizerFiles: [String] = [],
        tokenizerWarning: String? = nil
    ) {
        self.plan = plan
        self.nonFinite = nonFinite
        self.tokenizerFiles = tokenizerFiles
        self.tokenizerWarning = tokenizerWarning
    }

    // MARK: Figures

    /// Tensors and parameters of one kind.
    public struct Share: Codable, Sendable, Equatable {
        /// Number of tensors.
        public let tensors: Int
        /// Elements of all of them.
        public let parameters: Int
        /// Of the target's parameters (dropped: of the source's), from 0 to 100.
        public let percent: Double
    }

    /// Elements of all tensors of the target.
    public var targetParameters: Int { plan.entries.reduce(0) { $0 + $1.count } }
    /// What the target takes from the source.
    public var reused: Share { share { if case .initialised = $0 { false } else { true } } }
    /// What is new in the target.
    public var initialised: Share { share { if case .initialised = $0 { true } else { false } } }
    /// What the target does not take; the share is of the source's parameters.
    public var dropped: Share {
        let parameters = plan.dropped.reduce(0) { $0 + $1.count }
        let source = reused.parameters + parameters
        return Share(
            tensors: plan.dropped.count, parameters: parameters,
            percent: source > 0 ? 100 * Double(parameters) / Double(source) : 0)
    }

    private func share(_ belongs: (ConversionPlan.Action) -> Bool) -> Share {
        let entries = plan.entries.filter { belongs($0.action) }
        let parameters = entries.reduce(0) { $0 + $1.count }
        return Share(
            tensors: entries.count, parameters: parameters,
            percent: 100 * Double(parameters) / Double(max(1, targetParameters)))
    }

    /// New tensors, one line per kind: the layers' numbers folded away.
    public var initialisedKinds: [(pattern: String, tensors: Int, parameters: Int, how: String)] {
        var kinds: [(pattern: String, tensors: Int, parameters: Int, how: String)] = []
        for entry in plan.entries {
            guard case .initialised(let initialiser) = entry.action else { continue }
            let pattern = Self.pattern(entry.name)
            if let index = kinds.firstIndex(where: { $0.pattern == pattern }) {
                kinds[index].tensors += 1
                kinds[index].parameters += entry.count
            } else {
                kinds.append((pattern, 1, entry.count, "\(initialiser)"))
            }
        }
        return kinds
    }

    /// Tensors that are made of others of the source, one line per kind.
    public var derivedKinds: [(pattern: String, tensors: Int, how: String)] {
        var kinds: [(pattern: String, tensors: Int, how: String)] = []
        for entry in plan.entries {
            guard case .derived(_, let recipe) = entry.action else { continue }
            let pattern = Self.pattern(entry.name)
            if let index = kinds.firstIndex(where: { $0.pattern == pattern }) {
                kinds[index].tensors += 1
            } else {
                kinds.append((pattern, 1, Self.pattern(recipe.kind)))
            }
        }
        return kinds
    }

    /// model.layers.12.x → model.layers.*.x
    static func pattern(_ name: String) -> String {
        name.split(separator: ".").map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
    }

    // MARK: Forms

    /// The conversion as a step of the model's record.
    func step(samples: WeightSamples) throws -> ModelRecord.Conversion {
        let attention = try plan.target.attention
        let own = mixerNames.map { plan.target.mixerOptions[$0] }
        return ModelRecord.Conversion(
            moult: Moult.version, mixer: plan.options.mixer, mixers: try mixers,
            profile: plan.options.profile.rawValue,
            slots: Self.number("slots", in: own),
            window: Self.number("window", in: own) ?? 0, sinks: attention.sinks, attentionWindow: attention.window,
            attentionPositions: attention.positions.summary,
            keptLayers: plan.target.mixers.indices.filter { plan.target.mixers[$0] == SoftmaxAttention.name },
            keptHeads: attention.keptHeads.map(\.description), seed: String(plan.options.seed), reused: reused,
            initialised: initialised,
            dropped: dropped,
            new: initialisedKinds.map {
                ModelRecord.Conversion.Kind(
                    name: $0.pattern, tensors: $0.tensors, parameters: $0.parameters, how: $0.how)
            }, left: droppedKinds, samples: samples)
    }

    /// The mixers with options of their own, in the order in which the target has these.
    private var mixerNames: [String] {
        plan.target.mixerOptions.keys.filter { $0 != SoftmaxAttention.name }
    }

    private var mixers: [ModelRecord.Conversion.Mixer] {
        get throws {
            try mixerNames.map { name in
                let mixer = try MixerRegistry.mixer(named: name)
                return .init(
                    name: name, title: mixer.title, options: try mixer.description(plan.target)?.summary,
                    layers: plan.target.mixers.indices.filter { plan.target.mixers[$0] == name })
            }
        }
    }

    /// The first whole number under `key` of some options.
    private static func number(_ key: String, in options: [JSONValue?]) -> Int? {
        options.lazy.compactMap { $0?[key]?.doubleValue.flatMap(Int.init(exactly:)) }.first
    }

    private var droppedKinds: [ModelRecord.Conversion.Kind] {
        plan.dropped.reduce(into: []) { kinds, tensor in
            let pattern = Self.pattern(tensor.name)
            if let index = kinds.firstIndex(where: { $0.name == pattern }) {
                kinds[index].tensors += 1
                kinds[index].parameters += tensor.count
            } else {
                kinds.append(.init(name: pattern, tensors: 1, parameters: tensor.count, how: tensor.reason))
            }
        }
    }

    /// The report as one JSON object, every tensor listed.
    public var json: JSONValue {
        func share(_ share: Share) -> JSONValue {
            .object([
                "tensors": .integer(share.tensors), "parameters": .integer(share.parameters),
                "percent": .number(share.percent),
            ])
        }
        let tensors: [JSONValue] = plan.entries.map { entry in
            var object: JSONObject = [
                "name": .string(entry.name), "shape": .array(entry.shape.map { .integer($0) }),
                "dtype": .string(entry.dtype.rawValue),
            ]
            switch entry.action {
            case .copied: object["action"] = .string("copied")
            case .renamed(let source):
                object["action"] = .string("renamed")
                object["source"] = .string(source)
            case .derived(_, .stored(let source)):
                object["action"] = .string("renamed")
                object["source"] = .string(source)
            case .derived(_, let recipe):
                object["action"] = .string("derived")
                object["source"] = .string(recipe.summary)
            case .initialised(let initialiser):
                object["action"] = .string("initialised")
                object["how"] = .string("\(initialiser)")
            }
            return .object(object)
        }
        return .object([
            "source": .string(URL(fileURLWithPath: plan.sourcePath).lastPathComponent),
            "source_model_type": .string(plan.source.modelType),
            "model_type": plan.target.decoder.json["model_type"] ?? .null,
            "mixers": .array(plan.target.mixers.map { .string($0) }),
            "options": mixerNames.count == 1
                ? plan.target.mixerOptions[mixerNames[0]] ?? .null
                : .object(JSONObject(mixerNames.map { ($0, plan.target.mixerOptions[$0] ?? .null) })),
            "attention": plan.target.mixerOptions[SoftmaxAttention.name] ?? .null,
            "seed": .string(String(plan.options.seed)),
            "parameters": .integer(targetParameters),
            "reused": share(reused), "initialised": share(initialised), "dropped": share(dropped),
            "tensors": .array(tensors),
            "dropped_tensors": .array(
                plan.dropped.map {
                    .object(["name": .string($0.name), "parameters": .integer($0.count), "reason": .string($0.reason)])
                }),
            "non_finite": .object(
                JSONObject(nonFinite.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) })),
            "tokenizer_files": .array(tokenizerFiles.map { .string($0) }),
            "tokenizer_warning": tokenizerWarning.map { .string($0) } ?? .null,
        ])
    }

    /// A few lines for the terminal.
    public var summary: String {
        func line(_ label: String, _ share: Share, _ of: String) -> String {
            let percent = String(format: "%6.2f%%", share.percent)
            return "  \(label.padding(toLength: 12, withPad: " ", startingAt: 0)) "
                + "\(percent) of \(of)  \(share.tensors) tensors, \(Self.grouped(share.parameters)) parameters"
        }
        var lines = [line("reused", reused, "the target")]
        for kind in derivedKinds {
            lines.append("               \(kind.pattern) × \(kind.tensors): \(kind.how)")
        }
        lines.append(line("initialised", initialised, "the target"))
        for kind in initialisedKinds {
            lines.append("               \(kind.pattern) × \(kind.tensors): \(kind.how)")
        }
        lines.append(line("dropped", dropped, "the source"))
        for tensor in plan.dropped { lines.append("               \(tensor.name): \(tensor.reason)") }
        for (name, count) in nonFinite.sorted(by: { $0.key < $1.key }) {
            lines.append("  warning: \(name) has \(count) NaN or infinite values")
        }
        if let tokenizerWarning { lines.append("  warning: \(tokenizerWarning)") }
        return lines.joined(separator: "\n")
    }

    static func grouped(_ value: Int) -> String {
        var result = ""
        for (index, digit) in String(value).reversed().enumerated() {
            if index > 0, index % 3 == 0 { result.append(",") }
            result.append(digit)
        }
        return String(result.reversed())
    }
}
