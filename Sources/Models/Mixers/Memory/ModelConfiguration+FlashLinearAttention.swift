import Checkpoints
import Support
import Tensors

extension ModelConfiguration {
    /// What all of flash-linear-attention's files have at their beginning: the decoder's sizes, of a model of this `model_type`.
    func flashLinearAttentionFile(_ type: String, dtype: DType) -> JSONObject {
        [
            "model_type": .string(type),
            "torch_dtype": .string(dtype.rawValue),
            "vocab_size": .integer(decoder.vocabularySize),
            "hidden_size": .integer(decoder.hiddenSize),
            "num_hidden_layers": .integer(decoder.layerCount),
            "intermediate_size": .integer(decoder.intermediateSize),
            "hidden_act": .string("swish"),
            "hidden_ratio": 4,
            "max_position_embeddings": .integer(decoder.maximumPositions),
            "norm_eps": .decimal(decoder.normEpsilon),
            "tie_word_embeddings": .bool(decoder.tiedEmbeddings),
            "elementwise_affine": .bool(true), "use_cache": .bool(true),
            "initializer_range": .number(0.02),
        ]
    }

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
