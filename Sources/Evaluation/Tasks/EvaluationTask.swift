import Foundation
import Text
import Tokenizers

/// What a model can be evaluated on.
public enum EvaluationTask: String, CaseIterable, Sendable {
    case lambada, piqa
    case arcEasy = "arc_easy"
    case openBookQA = "openbookqa"
    case recall, needle
    case needleSingle1 = "niah_single_1"
    case needleSingle2 = "niah_single_2"
    case needleSingle3 = "niah_single_3"
    case needleMultikey1 = "niah_multikey_1"
    case needleMultikey2 = "niah_multikey_2"
    case needleMultikey3 = "niah_multikey_3"
    case needleMultivalue = "niah_multivalue"
    case needleMultiquery = "niah_multiquery"
    case variableTracking = "variable_tracking"
    case commonWords = "common_words"
    case frequentWords = "frequent_words"

    /// Names of several tasks at once.
    public static let sets: KeyValuePairs<String, [EvaluationTask]> = [
        "niah_single": [.needleSingle1, .needleSingle2, .needleSingle3],
        "niah_multikey": [.needleMultikey1, .needleMultikey2, .needleMultikey3],
    ]

    /// The task of a name, or those of a set of them; nil when nothing has this name.
    public static func named(_ name: String) -> [EvaluationTask]? {
        sets.first { $0.key == name }?.value ?? EvaluationTask(rawValue: name).map { [$0] }
    }

    /// What is asked of a task, and how much.
    public struct Options: Sendable {
        /// The folder of the question files, and of the filler that needles are hidden in: filler.txt, .jsonl or .parquet.
        public var data: String?
        /// How a filler of documents is read.
        public var reading = DataOptions()
        /// The most examples of a task; of those that make their own texts, at each length and depth.
        public var limit: Int?
        /// Tokens of the texts of tasks that make their own; nil for each task's own lengths.
        public var lengths: [Int]?
        /// Where the needle stands, per cent of the text before it.
        public var depths = [0, 25, 50, 75, 100]
        /// Seed of the texts and of the choice of questions.
        public var seed: UInt64 = 0
        /// How questions are answered; nil for each task's own way.
        public var method: EvaluationMethod?

        /// All examples, each task at its own lengths.
        public init() {}
    }

    /// The name of the task's questions in the data folder; nil when it makes its own.
    public var file: String? {
        switch self {
        case .lambada: "lambada_openai.jsonl"
        case .piqa: "piqa_val.jsonl"
        case .arcEasy: "arc_easy_val.jsonl"
        case .openBookQA: "openbookqa_val.jsonl"
        default: nil
        }
    }

    /// How the task's questions can be answered, its own way first.
    public var methods: [EvaluationMethod] {
        switch self {
        case .lambada, .piqa, .arcEasy, .openBookQA, .recall, .needle: [.likelihood]
        case .variableTracking, .commonWords, .frequentWords: [.generation]
        default: [.generation, .likelihood]
        }
    }

    /// How likelihoods become figures.
    public var scoring: Scoring {
        switch self {
        case .lambada: .cloze
        case .piqa, .arcEasy, .openBookQA: .choice
        default: .retrieval
        }
    }

    /// The task's examples: one group, or one for each length and depth.
    /// - Throws: ``EvaluationError`` or `DataError` for a file that is missing or wrong, and for a method that the
    ///   task does not have.
    public func groups(_ options: Options, tokenizer: Tokenizer) throws -> [ExampleGroup] {
        let method = options.method ?? methods[0]
        guard methods.contains(method) else {
            throw EvaluationError.method(task: rawValue, expected: methods[0].rawValue, found: method.rawValue)
        }
        if let form = needleForm {
            let essay =
                try options.filler.map { try EssayText(path: $0, options: options.reading, tokenizer: tokenizer) }
                ?? .generated
            return synthetic(options) { length in
                let passages = HaystackPassages(
                    task: self, form: form, length: length, essay: essay, seed: options.seed)
                return method == .likelihood
                    ? .passages { try passages.passage($0, tokenizer: tokenizer) }
                    : .completions { try passages.completion($0, tokenizer: tokenizer) }
            }
        }
        switch self {
        case .recall:
            return (options.lengths ?? [256, 1024, 4096]).map { length in
                let passages = RecallPassages(length: length, seed: options.seed)
                return ExampleGroup(
                    task: self, length: length, count: options.limit ?? 20,
                    examples: .passages { try passages.passage($0, tokenizer: tokenizer) })
            }
        case .needle:
            let filler =
                try options.filler.map { try FillerText(path: $0, options: options.reading, tokenizer: tokenizer) }
                ?? .generated
            return (options.lengths ?? [1024, 4096, 16384]).flatMap { length in
                options.depths.map { depth in
                    let passages = NeedlePassages(length: length, depth: depth, filler: filler, seed: options.seed)
                    return ExampleGroup(
                        task: self, length: length, depth: depth, count: options.limit ?? 10,
                        examples: .passages { try passages.passage($0, tokenizer: tokenizer) })
                }
            }
        case .variableTracking:
            return synthetic(options) { length in
                let texts = VariableTracking(length: length, seed: options.seed)
                return .completions { try texts.completion($0, tokenizer: tokenizer) }
            }
        case .commonWords:
            return synthetic(options) { length in
                let texts = CommonWords(length: length, seed: options.seed)
                return .completions { try texts.completion($0, tokenizer: tokenizer) }
            }
        case .frequentWords:
            return synthetic(options) { length in
                let texts = FrequentWords(length: length, seed: options.seed)
                return .completions { try texts.completion($0, tokenizer: tokenizer) }
            }
        default:
            let path = "\(options.data ?? ".")/\(file ?? "")"
            let passages = try QuestionFile(path: path).read(scoring, limit: options.limit)
            return [ExampleGroup(task: self, count: passages.count, examples: .passages { passages[$0] })]
        }
    }

    /// A group for each length of a task of RULER.
    private func synthetic(_ options: Options, examples: (Int) -> ExampleGroup.Examples) -> [ExampleGroup] {
        (options.lengths ?? [4096]).map {
            ExampleGroup(task: self, length: $0, count: options.limit ?? 20, examples: examples($0))
        }
    }
}

extension EvaluationTask.Options {
    /// The file of the data folder that needles are hidden in; nil when there is none.
    fileprivate var filler: String? {
        ["txt", "jsonl", "ndjson", "parquet"].lazy.compactMap { TextFile.found("\(data ?? ".")/filler.\($0)") }.first
    }
}
