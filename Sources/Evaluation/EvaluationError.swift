/// Why an evaluation could not be made.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
    case textTooShort(tokens: Int)
    case nonFiniteLoss(window: Int, position: Int)
    case nonFiniteScore(group: String, example: Int)
    case unreadable(file: String, expected: String)
    case question(file: String, line: Int, expected: String, found: String)
    case noQuestions(file: String)
    case noContext(group: String, example: Int)
    case length(task: String, minimum: Int, found: Int)
    case method(task: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .textTooShort(let tokens):
            "the text has \(tokens) token(s); at least 2 are needed to predict one from another"
        case .nonFiniteLoss(let window, let position):
            "the loss at window \(window), position \(position) is not a finite number; are the weights finite? See 'moult inspect'"
        case .nonFiniteScore(let group, let example):
            "\(group), example \(example + 1): the likelihood is not a finite number; are the weights finite? See 'moult inspect'"
        case .unreadable(let file, let expected): "\(file): cannot be read; expected \(expected)"
        case .question(let file, let line, let expected, let found):
            "\(file):\(line): expected \(expected), found \(found)"
        case .noQuestions(let file): "\(file): no questions; expected one JSON object a line"
        case .noContext(let group, let example):
            "\(group), example \(example + 1): the tokenizer makes no token of the context, or none of a choice"
        case .length(let task, let minimum, let found):
            "\(task): a context of \(found) tokens is too short; expected at least \(minimum)"
        case .method(let task, let expected, let found):
            "\(task): expected to be answered by \(expected), which alone is defined for it, found \(found)"
        }
    }
}
