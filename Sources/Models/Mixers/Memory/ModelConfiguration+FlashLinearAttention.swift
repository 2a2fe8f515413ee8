import Checkpoints
import Support

extension ModelConfiguration {
    /// Adds what all of flash-linear-attention's files have at their end: the layers that keep softmax attention, and the special
    /// tokens.
    func writeFlashLinearAttention(to json: inout JSONObject) {
        let kept = mixers.indices.filter { mixers[$0] == SoftmaxAttention.name }
        if !kept.isEmpty {
            json["attn"] = .object([
                "layers": .array(kept.map { .integer($0) }),
                "num_heads": .integer(decoder.headCount),
                "num_kv_heads": .integer(decoder.keyValueHeadCount),
                "qkv_bias": .bool(false),
                "window_size": decoder.slidingWindow.map { .integer($0) } ?? .null,
                "rope_theta": .number(decoder.ropeTheta),
            ])
        }
        json["bos_token_id"] = DecoderConfiguration.json(decoder.bosTokens)
        json["eos_token_id"] = DecoderConfiguration.json(decoder.eosTokens)
        json["pad_token_id"] = decoder.padToken.map { .integer($0) } ?? .null
    }
}

extension JSONValue {
    /// A float32 in its shortest decimal form, so that 1e-5 is written as 1e-05 and not as its float64 expansion.
    package static func decimal(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
}

extension DecoderConfiguration {
    /// One special token as a number, several as a list, none as null.
    package static func json(_ tokens: [Int]) -> JSONValue {
        let numbers = tokens.map { JSONValue.integer($0) }
        return numbers.count > 1 ? .array(numbers) : numbers.first ?? .null
    }
}
