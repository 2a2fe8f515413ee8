import Foundation
import Tokenizers

/// What a model can be evaluated on.
public enum EvaluationTask: String, CaseIterable, Sendable {
    case lambada, piqa
    case arcEasy = "arc_easy"
    case openBookQA = "openbookqa"
    case recall, needle

    public struct Options: Sendable {
        /// The folder of the question files, and of the needle's filler.txt.
        public var data: String?
        /// The most examples of a task; of recall and needle, at each length and depth.
        public var limit: Int?
        /// Tokens of the contexts of recall and needle; nil for each task's own.
        public var lengths: [Int]?
        /// Where the needle stands, per cent of the text before it.
        public var depths = [0, 25, 50, 75, 100]
        public var seed: UInt64 = 0

        public init() {}
    }

    /// The name of the task's questions in the data folder; nil when it makes its own.
    public var file: String? {
        switch self {
        case .lambada: "lambada_openai.jsonl"
        case .piqa: "piqa_val.jsonl"
        case .arcEasy: "arc_easy_val.jsonl"
        case .openBookQA: "openbookqa_val.jsonl"
        case .recall, .needle: nil
        }
    }

    public var scoring: Scoring {
        switch self {
        case .lambada: .cloze
        case .piqa, .arcEasy, .openBookQA: .choice
        case .recall, .needle: .retrieval
        }
    }

    /// The task's examples: one group, or one for each length and depth.
    /// - Throws: ``EvaluationError`` or `CheckpointError` for a file that is missing or wrong.
    public func groups(_ options: Options, tokenizer: Tokenizer) throws -> [ExampleGroup] {
        let data = options.data ?? "."
        switch self {
        case .lambada, .piqa, .arcEasy, .openBookQA:
            let path = "\(data)/\(file ?? "")"
            let passages = try QuestionFile(path: path).read(scoring, limit: options.limit)
            return [ExampleGroup(task: self, count: passages.count) { passages[$0] }]
        case .recall:
            return (options.lengths ?? [256, 1024, 4096]).map { length in
                let passages = RecallPassages(length: length, seed: options.seed)
                return ExampleGroup(task: self, length: length, count: options.limit ?? 20) {
                    try passages.passage($0, tokenizer: tokenizer)
                }
            }
        case .needle:
            let path = "\(data)/filler.txt"
            let filler = FileManager.default.fileExists(atPath: path) ? try FillerText(path: path) : .generated
            return (options.lengths ?? [1024, 4096, 16384]).flatMap { length in
                options.depths.map { depth in
                    let passages = NeedlePassages(length: length, depth: depth, filler: filler, seed: options.seed)
                    return ExampleGroup(task: self, length: length, depth: depth, count: options.limit ?? 10) {
                        try passages.passage($0, tokenizer: tokenizer)
                    }
                }
            }
        }
    }
}
