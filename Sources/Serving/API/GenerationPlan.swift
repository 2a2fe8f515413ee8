import Generation
import Support

/// What a request for text asks for, understood and checked.
struct GenerationPlan: Sendable {
    /// One for each prompt.
    var requests: [SequenceRequest]
    /// How the answer is written.
    var form: any AnswerForm
    var isStreamed: Bool
    /// Whether a stream ends with the numbers of tokens.
    var includesUsage: Bool
    /// Whether an answer, or each part of a streamed one, tells its times.
    var tellsTimings = false

    /// Continuations of each prompt.
    var choices: Int { requests.first?.samplers.count ?? 1 }
}

/// How an endpoint writes what was generated.
protocol AnswerForm: Sendable {
    /// What ids of answers begin with.
    var idPrefix: String { get }
    /// The kind of object that a whole answer is, and a part of a streamed one.
    var objects: (whole: String, part: String) { get }
    /// The entry of a whole continuation.
    func choice(_ result: ChoiceResult) throws -> JSONValue
    /// The entry before a streamed continuation's first token; nil for none.
    func opening(_ index: Int, prompt: Int) -> JSONValue?
    /// The entry of a part of a streamed continuation.
    func part(_ index: Int, _ text: String, _ likelihoods: [TokenLikelihood]) -> JSONValue
    /// The entry that ends a streamed continuation.
    func closing(_ index: Int, _ reason: String) -> JSONValue

    /// How the model writes calls of functions; nil where none are looked for.
    var toolFormat: ToolFormat? { get }
    /// The entry of a streamed continuation that is its call number `number`.
    func call(_ index: Int, _ number: Int, _ call: ChatToolCall, _ likelihoods: [TokenLikelihood]) -> JSONValue
    /// What a special token is in the text of calls; empty for all others.
    func mark(_ token: Int32) -> String
}

extension AnswerForm {
    var toolFormat: ToolFormat? { nil }
    func call(_ index: Int, _ number: Int, _ call: ChatToolCall, _ likelihoods: [TokenLikelihood]) -> JSONValue {
        .null
    }
    func mark(_ token: Int32) -> String { "" }
}

/// A continuation that is complete.
struct ChoiceResult: Sendable {
    /// Its place among all continuations of the answer.
    var index: Int
    /// The place of its prompt.
    var prompt: Int
    var text = ""
    var likelihoods: [TokenLikelihood] = []
    /// How the prompt was read.
    var reading: SequenceEvent.PromptReading
    /// How it ended; nil as long as it goes on.
    var ending: SequenceEvent.Ending?

    /// Why it ended, in the API's words.
    func finishReason(calls: Int = 0) -> String { ending?.reason.finishReason(calls: calls) ?? "length" }
}

extension SequenceEvent.Ending.Reason {
    /// In the API's words.
    var finishReason: String {
        switch self {
        case .limit, .deadline: "length"
        case .stopToken, .stopString, .complete: "stop"
        case .nonFinite: "error"
        }
    }

    /// In the API's words, of an answer with so many calls of functions.
    func finishReason(calls: Int) -> String {
        calls > 0 && finishReason == "stop" ? "tool_calls" : finishReason
    }
}

/// Numbers of tokens of an answer.
struct TokenUsage: Sendable {
    var prompt = 0, cached = 0, generated = 0

    var json: JSONValue {
        [
            "prompt_tokens": .integer(prompt), "completion_tokens": .integer(generated),
            "total_tokens": .integer(prompt + generated),
            "prompt_tokens_details": ["cached_tokens": .integer(cached)],
        ]
    }
}
