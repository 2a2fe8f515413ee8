import Generation
import Support
import Tokenizers

/// Answers of /v1/chat/completions.
struct ChatForm: AnswerForm {
    /// Whether the likelihood of each token is told.
    var logprobs: Bool
    let texts: TokenTexts
    /// How the model writes calls of functions; nil where it is given none.
    var toolFormat: ToolFormat?

    let idPrefix = "chatcmpl-"
    let objects = (whole: "chat.completion", part: "chat.completion.chunk")

    func choice(_ result: ChoiceResult) -> JSONValue {
        let parts = toolFormat.map { ToolCallParser.parts(of: result.text, $0) } ?? [.text(result.text)]
        var (text, calls) = ("", [JSONValue]())
        for part in parts {
            switch part {
            case .text(let more): text += more
            case .call(let call): calls.append(.object(entry(call)))
            }
        }
        var message: JSONObject = [
            "role": "assistant", "content": text.isEmpty && !calls.isEmpty ? .null : .string(text), "refusal": nil,
        ]
        if !calls.isEmpty { message["tool_calls"] = .array(calls) }
        return [
            "index": .integer(result.index), "message": .object(message),
            "logprobs": logprobs ? content(result.likelihoods) : .null,
            "finish_reason": .string(result.finishReason(calls: calls.count)),
        ]
    }

    private func entry(_ call: ChatToolCall) -> JSONObject {
        [
            "id": .string(toolFormat?.newCallID ?? ""), "type": "function",
            "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
        ]
    }

    func call(_ index: Int, _ number: Int, _ call: ChatToolCall, _ likelihoods: [TokenLikelihood]) -> JSONValue {
        var call = entry(call)
        call["index"] = .integer(number)
        return entry(index, ["tool_calls": [.object(call)]], logprobs ? content(likelihoods) : .null, .null)
    }

    func mark(_ token: Int32) -> String { toolFormat == nil ? "" : ToolFormat.mark(token, texts.tokenizer) }

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

extension ToolFormat {
    /// An id of a call. Templates of Mistral's insist on nine letters and digits.
    var newCallID: String { self == .mistral ? RandomID.text(9) : "call_" + RandomID.text() }

    /// What a special token is in the text of calls; empty for all others.
    static func mark(_ token: Int32, _ tokenizer: Tokenizer) -> String {
        guard tokenizer.isSpecialToken(token), let text = tokenizer.token(for: token),
            ToolCallParser.markers.contains(text)
        else { return "" }
        return text
    }
}
