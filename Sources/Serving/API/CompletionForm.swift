import Generation
import Support
import Tokenizers

/// Answers of /v1/completions.
struct CompletionForm: AnswerForm {
    /// A prompt as it is echoed.
    struct Prompt: Sendable {
        var tokens: [Int32]
        /// Its text as the client wrote it, or as its tokens are decoded.
        var text: String
        /// Tokens at its beginning that are no part of the text.
        var added: Int
    }

    var prompts: [Prompt]
    var echoes: Bool
    /// How many alternatives to each token are named; nil for no likelihoods.
    var logprobs: Int?
    let texts: TokenTexts

    let idPrefix = "cmpl-"
    let objects = (whole: "text_completion", part: "text_completion")

    func choice(_ result: ChoiceResult) -> JSONValue {
        let prompt = prompts[result.prompt]
        return entry(
            result.index, (echoes ? prompt.text : "") + result.text, logprobs == nil ? .null : list(result, prompt),
            .string(result.finishReason()))
    }

    func opening(_ index: Int, prompt: Int) -> JSONValue? {
        guard echoes else { return nil }
        return entry(index, prompts[prompt].text, .null, .null)
    }

    func part(_ index: Int, _ text: String, _ likelihoods: [TokenLikelihood]) -> JSONValue {
        guard logprobs != nil else { return entry(index, text, .null, .null) }
        var list = LegacyLogprobs(texts: texts)
        for likelihood in likelihoods { list.append(likelihood) }
        return entry(index, text, list.json, .null)
    }

    func closing(_ index: Int, _ reason: String) -> JSONValue { entry(index, "", .null, .string(reason)) }

    private func entry(_ index: Int, _ text: String, _ logprobs: JSONValue, _ reason: JSONValue) -> JSONValue {
        ["index": .integer(index), "text": .string(text), "logprobs": logprobs, "finish_reason": reason]
    }

    private func list(_ result: ChoiceResult, _ prompt: Prompt) -> JSONValue {
        var list = LegacyLogprobs(texts: texts)
        guard echoes else {
            for likelihood in result.likelihoods { list.append(likelihood) }
            return list.json
        }
        // A token that some tokenizers begin with a space has none at the beginning of a text.
        if prompt.added < prompt.tokens.count, texts.bytes(prompt.tokens[prompt.added]).first == 0x20,
            prompt.text.utf8.first != 0x20
        {
            list.offset = -1
        }
        for (place, token) in prompt.tokens.enumerated() {
            let isAdded = place < prompt.added
            if place == 0 {
                list.appendFirst(token, isText: !isAdded)
            } else if place - 1 < result.reading.likelihoods.count {
                list.append(result.reading.likelihoods[place - 1], isText: !isAdded)
            }
        }
        for likelihood in result.likelihoods { list.append(likelihood) }
        // Who reads likelihoods of a prompt drops the last entry as the generated one: there must be one, also where the text
        // ends at once.
        if result.likelihoods.isEmpty, let stop = result.ending?.stop { list.append(stop, isText: false) }
        return list.json
    }
}

/// The four lists of OpenAI's first API.
private struct LegacyLogprobs {
    let texts: TokenTexts
    private var tokens: [JSONValue] = []
    private var logprobs: [JSONValue] = []
    private var top: [JSONValue] = []
    private var offsets: [JSONValue] = []
    /// Code points before the next token.
    var offset = 0

    init(texts: TokenTexts) { self.texts = texts }

    /// The first token of a text, which nothing comes before.
    mutating func appendFirst(_ token: Int32, isText: Bool) {
        append(token, isText)
        logprobs.append(.null)
        top.append(.null)
    }

    mutating func append(_ likelihood: TokenLikelihood, isText: Bool = true) {
        append(likelihood.chosen.token, isText)
        logprobs.append(TokenTexts.number(likelihood.chosen.logprob))
        var named = JSONObject()
        // Of tokens with one text the likelier counts.
        for candidate in likelihood.top + [likelihood.chosen] {
            let name = texts.name(candidate.token)
            if named[name] == nil { named[name] = TokenTexts.number(candidate.logprob) }
        }
        top.append(.object(named))
    }

    private mutating func append(_ token: Int32, _ isText: Bool) {
        tokens.append(.string(texts.name(token)))
        offsets.append(.integer(max(0, offset)))
        if isText { offset += texts.bytes(token).count { $0 & 0xC0 != 0x80 } }
    }

    var json: JSONValue {
        [
            "tokens": .array(tokens), "token_logprobs": .array(logprobs), "top_logprobs": .array(top),
            "text_offset": .array(offsets),
        ]
    }
}
