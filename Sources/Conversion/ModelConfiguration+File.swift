import Checkpoints
import Models
import Support
import Tensors

extension ModelConfiguration {
    /// The config.json of the model in Moult's own form: Llama's keys and tensors, and a "moult" object.
    func moultFile(_ attention: SoftmaxAttention.Options, dtype: DType) -> JSONObject {
        var json = decoder.huggingFaceJSON()
        json["model_type"] = .string("moult")
        json["architectures"] = .array([.string("MoultForCausalLM")])
        json["torch_dtype"] = .string(dtype.rawValue)
        let beyond = decoder.beyondLlama
        var moult: JSONObject = [
            "version": .integer(beyond.count > 0 ? 4 : attention.version), "layers": .array(mixers.map { .string($0) }),
            SoftmaxAttention.name: attention.json,
        ]
        for (name, options) in mixerOptions.pairs where name != SoftmaxAttention.name { moult[name] = options }
        moult["source_model_type"] = .string(decoder.modelType)
        if beyond.count > 0 { moult["decoder"] = .object(beyond) }
        json["moult"] = .object(moult)
        return json
    }
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
}
