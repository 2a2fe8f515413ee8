import Checkpoints
import Models
import Support
import Tensors

extension ModelConfiguration {
    /// The config.json of a converted model: flash-linear-attention's keys in the fla profile (with its constructor's
    /// spelling `exapnd_k`), otherwise the source's keys with a "moult" object.
    func configurationFile(
        _ slotAttention: GatedSlotAttention.Options, _ attention: SoftmaxAttention.Options, dtype: DType
    ) -> JSONObject {
        slotAttention.profile == .fla
            ? flashLinearAttentionFile(slotAttention, dtype: dtype)
            : moultFile(slotAttention, attention, dtype: dtype)
    }

    /// The config.json of the model in Moult's own form: Llama's keys and tensors, and a "moult" object.
    func moultFile(
        _ slotAttention: GatedSlotAttention.Options?, _ attention: SoftmaxAttention.Options, dtype: DType
    ) -> JSONObject {
        var json = decoder.huggingFaceJSON()
        json["model_type"] = .string("moult")
        json["architectures"] = .array([.string("MoultForCausalLM")])
        json["torch_dtype"] = .string(dtype.rawValue)
        let beyond = decoder.beyondLlama
        var moult: JSONObject = [
            "version": .integer(beyond.count > 0 ? 4 : attention.version), "layers": .array(mixers.map { .string($0) }),
            SoftmaxAttention.name: attention.json,
        ]
        if let slotAttention { moult[GatedSlotAttention.name] = slotAttention.json }
        moult["source_model_type"] = .string(decoder.modelType)
        if beyond.count > 0 { moult["decoder"] = .object(beyond) }
        json["moult"] = .object(moult)
        return json
    }

    private func flashLinearAttentionFile(_ slotAttention: GatedSlotAttention.Options, dtype: DType) -> JSONObject {
        let kept = mixers.indices.filter { mixers[$0] == SoftmaxAttention.name }
        var json: JSONObject = [
            "model_type": .string("gsa"),
            "architectures": .array([.string("GSAForCausalLM")]),
            "torch_dtype": .string(dtype.rawValue),
            "vocab_size": .integer(decoder.vocabularySize),
            "hidden_size": .integer(decoder.hiddenSize),
            "num_hidden_layers": .integer(decoder.layerCount),
            "num_heads": .integer(decoder.headCount),
            "num_kv_heads": .integer(decoder.keyValueHeadCount),
            "num_slots": .integer(slotAttention.slots),
            "intermediate_size": .integer(decoder.intermediateSize),
            "hidden_act": .string("swish"),
            "hidden_ratio": 4,
            "max_position_embeddings": .integer(decoder.maximumPositions),
            "norm_eps": .decimal(decoder.normEpsilon),
            "tie_word_embeddings": .bool(decoder.tiedEmbeddings),
            "exapnd_k": 1, "exapnd_v": 1,
            "gate_logit_normalizer": 8,
            "feature_map": .string("swish"),
            "use_short_conv": .bool(false), "use_output_gate": .bool(false),
            "use_norm": .bool(true), "elementwise_affine": .bool(true), "use_cache": .bool(true),
            "initializer_range": .number(0.02),
        ]
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
        return json
    }
}

extension JSONValue {
    /// A float32 in its shortest decimal form, so that 1e-5 is written as 1e-05 and not as its float64 expansion.
    static func decimal(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
}

extension DecoderConfiguration {
    /// The configuration under Hugging Face's Llama keys, over whatever else the source's config.json holds.
    func huggingFaceJSON() -> JSONObject {
        var result = json
        for key in ["auto_map", "quantization_config", "rope_parameters", "dtype", "_name_or_path"] {
            result[key] = nil
        }
        result["vocab_size"] = .integer(vocabularySize)
        result["hidden_size"] = .integer(hiddenSize)
        result["num_hidden_layers"] = .integer(layerCount)
        result["num_attention_heads"] = .integer(headCount)
        result["num_key_value_heads"] = .integer(keyValueHeadCount)
        result["head_dim"] = .integer(headDim)
        result["intermediate_size"] = .integer(intermediateSize)
        result["max_position_embeddings"] = .integer(maximumPositions)
        result["rms_norm_eps"] = .decimal(normEpsilon)
        result["rope_theta"] = .number(ropeTheta)
        result["rope_scaling"] = ropeScaling?.json ?? .null
        result["sliding_window"] = slidingWindow.map { .integer($0) } ?? .null
        result["hidden_act"] = .string(activation.rawValue)
        result["tie_word_embeddings"] = .bool(tiedEmbeddings)
        result["attention_bias"] = .bool(attentionBias)
        result["attention_output_bias"] = outputBias == attentionBias ? nil : .bool(outputBias)
        result["mlp_bias"] = .bool(mlpBias)
        result["bos_token_id"] = Self.json(bosTokens)
        result["eos_token_id"] = Self.json(eosTokens)
        result["pad_token_id"] = padToken.map { .integer($0) } ?? .null
        return result
    }

    fileprivate static func json(_ tokens: [Int]) -> JSONValue {
        let numbers = tokens.map { JSONValue.integer($0) }
        return numbers.count > 1 ? .array(numbers) : numbers.first ?? .null
    }
}
