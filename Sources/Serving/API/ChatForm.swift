import Generation
import Support

/// Answers of /v1/chat/completions.
struct ChatForm: AnswerForm {
    /// Whether the likelihood of each token is told.
    var logprobs: Bool
    let texts: TokenTexts

    let idPrefix = "chatcmpl-"
    let objects = (whole: "chat.completion", part: "chat.completion.chunk")

    func choice(_ result: ChoiceResult) -> JSONValue {
        [
            "index": .integer(result.index),
            "message": ["role": "assistant", "content": .string(result.text), "refusal": nil],
            "logprobs": logprobs ? content(result.likelihoods) : .null, "finish_reason": .string(result.finishReason),
        ]
    }

    func opening(_ index: Int, prompt: Int) -> JSONValue? {
        entry(index, ["role": "assistant", "content": ""], .null, .null)
    }

    func part(_ index: Int, _ text: String, _ likelihoods: [TokenLikelihood]) -> JSONValue {
        entry(index, ["content": .string(text)], logprobs ? content(likelihoods) : .null, .null)
    }

    func closing(_ index: Int, _ reason: String) -> JSONValue { entry(index, [:], .null, .string(reason)) }

    private func entry(_ index: Int, _ delta: JSONValue, _ logprobs: JSONValue, _ reason: JSONValue) -> JSONValue {
        ["index": .integer(index), "delta": delta, "logprobs": logprobs, "finish_reason": reason]
    }

    private func content(_ likelihoods: [TokenLikelihood]) -> JSONValue {
        func pairs(_ candidate: TokenLikelihood.Candidate) -> JSONObject {
            [
                "token": .string(texts.name(candidate.token)), "logprob": TokenTexts.number(candidate.logprob),
                "bytes": .array(texts.bytes(candidate.token).map { .integer(Int($0)) }),
            ]
        }
        let entries = likelihoods.map { likelihood in
            var entry = pairs(likelihood.chosen)
            entry["top_logprobs"] = .array(likelihood.top.map { .object(pairs($0)) })
            return JSONValue.object(entry)
        }
        return ["content": .array(entries)]
    }
}
