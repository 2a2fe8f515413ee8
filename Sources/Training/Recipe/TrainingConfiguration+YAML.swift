import Foundation
import Support
import Text
import Yams

extension TrainingConfiguration {
    private static var fields: [ConfigurationField<Self>] {
        [
            .text("model", \.model), .optional("teacher", \.teacher), .count("seed", \.seed, in: 0...Int(Int32.max)),
            .count("length", \.length, in: lengths),
            .count("activation_memory", \.activationMemory, in: 0...1 << 50),
            .count("patience", \.patience, in: 1...1_000_000),
            .choice("on_plateau", \.plateau.action),
            .count("plateau_patience", \.plateau.patience, in: PlateauPolicy.patiences),
            .number("plateau_factor", \.plateau.factor, in: PlateauPolicy.factors),
        ]
    }

    private static var dataFields: [ConfigurationField<Data>] {
        [
            .list("train", \.train), .list("validation", \.validation),
            .number("validation_share", \.validationShare, in: 0...0.5),
            .number("recall", \.recall, in: RecallShare.range),
            .number("answer_weight", \.answerWeight, in: answerWeights), .text("text_key", \.textKey),
            .optional("separator", \.separator), .choice("on_error", \.onError), .optional("cache", \.cache),
            .count("max_line_bytes", \.maximumLineBytes, in: DataOptions.lineBytes),
        ]
    }

    private static var validationFields: [ConfigurationField<Validation>] {
        [
            .count("every", \.every, in: 1...1 << 40), .count("rows", \.rows, in: 1...1 << 30),
            .count("recall_questions", \.recallQuestions, in: 0...1000),
        ]
    }

    private static var checkpointFields: [ConfigurationField<Checkpoints>] {
        [.count("every", \.every, in: 1...1 << 40), .count("keep", \.keep, in: 1...1 << 20)]
    }

    private static var stageFields: [ConfigurationField<StageConfiguration>] {
        [
            .count("tokens", \.tokens, in: 1...1_000_000_000_000_000), .optional("length", \.length, in: lengths),
            .count("carry", \.carry, in: StageConfiguration.carries),
            .number("carry_share", \.carryShare, in: StageConfiguration.carryShares),
            .count("sequences", \.sequences, in: 1...1 << 20),
            .count("accumulation", \.accumulation, in: 1...1 << 20),
            .number("learning_rate", \.schedule.peak, in: 0...10), .choice("schedule", \.schedule.course),
            .count("warm_up_steps", \.schedule.warmUpSteps, in: 0...1 << 40),
            .number("final_rate", \.schedule.final, in: 0...1), .number("decay_share", \.schedule.decay, in: 0...1),
            .number("new_parameter_rate", \.newParameterRate, in: 0...1000), .choice("rates", \.rates),
            .number("beta1", \.optimiser.beta1, in: 0...0.9999), .number("beta2", \.optimiser.beta2, in: 0...0.99999),
            .number("epsilon", \.optimiser.epsilon, in: 0...1),
            .number("weight_decay", \.optimiser.weightDecay, in: 0...1),
            .optional("clip", \.optimiser.clip, in: 1e-9...1e9), .list("freeze", \.freeze),
            .count("lora_rank", \.lowRank.rank, in: LowRankSettings.ranks),
            .optional("lora_alpha", \.lowRank.alpha, in: LowRankSettings.alphas),
            .list("lora_targets", \.lowRank.targets),
            .number("lora_rate", \.lowRank.rate, in: LowRankSettings.rates),
            .number("teacher_share", \.teacherShare, in: 0...1),
            .count("layers_at_once", \.layersAtOnce, in: 0...1 << 20),
        ]
    }

    /// Reads a YAML file over the defaults.
    /// - Throws: ``TrainingError/configuration(path:line:reason:)`` with the line of what does not fit.
    public init(path: String) throws {
        let text: String
        do {
            let bytes = try RegularFile.contentsOrPipe(path, pipeLimit: 1 << 20)
            if let found = TextEncoding.foreign(bytes) {
                throw TrainingError.configuration(path: path, line: nil, reason: "expected UTF-8 text, found \(found)")
            }
            guard let valid = String(validating: TextEncoding.unmarked(bytes), as: UTF8.self)
            else { throw TrainingError.configuration(path: path, line: nil, reason: "it is not UTF-8 text") }
            text = TextEncoding.unixLines(valid)
        } catch let fault as RegularFile.Fault {
            throw TrainingError.configuration(path: path, line: nil, reason: "cannot be read: \(fault.description)")
        }
        try self.init(yaml: text, path: path)
    }

    /// Reads a configuration; what is left out keeps its default.
    /// - Parameter path: the file's name in errors.
    /// - Throws: ``TrainingError/configuration(path:line:reason:)`` for what is not YAML, unknown keys and wrong
    ///   values.
    public init(yaml: String, path: String) throws {
        self.init()
        let root: Node?
        do { root = try Yams.compose(yaml: yaml) } catch let error as YamlError {
            throw Self.refusal(error, path: path)
        }
        guard let root, root.null == nil else { return }
        let sections: Set = ["data", "validation", "checkpoints", "stages"]
        try Self.fields.read(root, into: &self, path: path, elsewhere: sections)
        if let node = root["data"] { try Self.dataFields.read(node, into: &data, path: path) }
        if let node = root["validation"] { try Self.validationFields.read(node, into: &validation, path: path) }
        if let node = root["checkpoints"] { try Self.checkpointFields.read(node, into: &checkpoints, path: path) }
        guard let node = root["stages"] else { return }
        guard let entries = node.sequence else {
            throw TrainingError.configuration(path: path, line: node.mark?.line, reason: "stages: expected a list")
        }
        stages = try entries.map { entry in
            guard let kind = StageConfiguration.Kind(rawValue: entry["stage"]?.scalar?.string ?? "") else {
                let kinds = StageConfiguration.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                throw TrainingError.configuration(
                    path: path, line: entry.mark?.line, reason: "a stage needs 'stage: ' with one of \(kinds)")
            }
            var stage = StageConfiguration(kind, tokens: 0)
            try Self.stageFields.read(entry, into: &stage, path: path, elsewhere: ["stage"])
            guard stage.tokens > 0 else {
                throw TrainingError.configuration(
                    path: path, line: entry.mark?.line, reason: "stage \(kind.rawValue): 'tokens' is missing")
            }
            return stage
        }
    }

    /// Every key and value.
    public func yaml() throws -> String { try yaml(isHashed: false) }

    /// - Parameter isHashed: whether the text is what a run's checkpoints belong to: then keys of adapters are left out where there are
    ///   none, so that runs go on that were begun before there were such keys.
    func yaml(isHashed: Bool) throws -> String {
        func node(_ pairs: [(Node, Node)]) -> Node { Node(pairs, .implicit, .block) }
        let stages = try stages.map { stage in
            let fields = try Self.stageFields.write(stage).filter { key, _ in
                !(isHashed && stage.lowRank == .init() && key.scalar?.string.hasPrefix("lora_") == true)
            }
            return node([(Node("stage"), Node(stage.kind.rawValue))] + fields)
        }
        let root = node(
            try Self.fields.write(self) + [
                (Node("data"), node(try Self.dataFields.write(data))),
                (Node("validation"), node(try Self.validationFields.write(validation))),
                (Node("checkpoints"), node(try Self.checkpointFields.write(checkpoints))),
                (Node("stages"), Node(stages, .implicit, .block)),
            ])
        return try Yams.serialize(node: root, allowUnicode: true)
    }

    private static func refusal(_ error: YamlError, path: String) -> TrainingError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            .configuration(path: path, line: mark.line, reason: "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            .configuration(
                path: path, line: context.mark.line, reason: "given twice: \(keys.sorted().joined(separator: ", "))")
        case .reader(let problem, _, _, _): .configuration(path: path, line: nil, reason: "not YAML: \(problem)")
        default: .configuration(path: path, line: nil, reason: "not YAML")
        }
    }
}
