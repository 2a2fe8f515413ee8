import Foundation

extension DecoderConfiguration {
    /// The configuration of a GGUF file, decoded as the config.json that the model would have.
    ///
    /// Embeddings are tied when the file has no output tensor; biases are there when layer 0 has them.
    /// - Throws: As ``init(json:file:)``; also for architectures other than "llama".
    public init(gguf checkpoint: GGUFCheckpoint) throws {
        let metadata = checkpoint.metadata, file = checkpoint.path
        func missing(_ key: String, _ expected: String) -> CheckpointError {
            .configuration(file: file, key: key, expected: expected, found: "nothing")
        }
        let architecture = try metadata.string("general.architecture")
        guard architecture == "llama" else {
            throw CheckpointError.unsupported(
                file: file, what: "general.architecture", found: architecture ?? "(none)", supported: "llama")
        }
        func integer(_ key: String) throws -> JSONValue {
            guard let value = try metadata.integer("llama." + key) else { throw missing("llama." + key, "an integer") }
            return .integer(value)
        }
        if let experts = try metadata.integer("llama.expert_count"), experts > 0 {
            throw CheckpointError.unsupported(
                file: file, what: "mixture of experts, llama.expert_count", found: "\(experts)",
                supported: "dense models")
        }
        var json = JSONObject([
            ("architectures", ["LlamaForCausalLM"]), ("model_type", "llama"), ("hidden_act", "silu"),
            ("hidden_size", try integer("embedding_length")), ("intermediate_size", try integer("feed_forward_length")),
            ("num_hidden_layers", try integer("block_count")),
            ("num_attention_heads", try integer("attention.head_count")),
            ("max_position_embeddings", try integer("context_length")),
        ])
        guard let epsilon = try metadata.number("llama.attention.layer_norm_rms_epsilon") else {
            throw missing("llama.attention.layer_norm_rms_epsilon", "a number")
        }
        // Shortest text of the float32, so that 1e-5 is 1e-5 again.
        json["rms_norm_eps"] = .number(Double(Float(epsilon).description) ?? epsilon)
        json["vocab_size"] = .integer(try Self.vocabularySize(checkpoint))
        json["num_key_value_heads"] = try metadata.integer("llama.attention.head_count_kv").map { .integer($0) }
        json["head_dim"] = try Self.headDim(metadata).map { .integer($0) }
        json["tie_word_embeddings"] = .bool(checkpoint.description(of: "lm_head.weight") == nil)
        func has(_ name: String) -> JSONValue {
            .bool(checkpoint.description(of: "model.layers.0.\(name).bias") != nil)
        }
        json["attention_bias"] = has("self_attn.q_proj")
        json["attention_output_bias"] = has("self_attn.o_proj")
        json["mlp_bias"] = has("mlp.down_proj")
        json["eos_token_id"] = .array(try metadata.endTokens().map { .integer($0) })
        for (key, stored) in [("bos_token_id", "bos_token_id"), ("pad_token_id", "padding_token_id")] {
            json[key] = try metadata.integer("tokenizer.ggml." + stored).map { .integer($0) } ?? .null
        }
        let theta = try metadata.number("llama.rope.freq_base") ?? 10_000
        json["rope_theta"] = .number(theta)
        json["rope_scaling"] = try Self.ropeScaling(checkpoint, theta: theta)
        try self.init(json: .object(json), file: file)
    }

    private static func vocabularySize(_ checkpoint: GGUFCheckpoint) throws -> Int {
        if let rows = checkpoint.description(of: "model.embed_tokens.weight")?.shape.first { return rows }
        throw CheckpointError.missingTensor(path: checkpoint.path, name: "token_embd.weight")
    }

    /// The explicit head size; keys, values and rotated dimensions must agree.
    private static func headDim(_ metadata: GGUFMetadata) throws -> Int? {
        let keys = ["attention.key_length", "attention.value_length", "rope.dimension_count"].map { "llama." + $0 }
        var size: Int?
        for key in keys {
            guard let found = try metadata.integer(key) else { continue }
            guard size == nil || size == found else {
                throw CheckpointError.unsupported(
                    file: metadata.file, what: key, found: "\(found)",
                    supported: "the size of keys, values and rotary dimensions alike")
            }
            size = found
        }
        return size
    }

    /// Scaling from the metadata, or from the tensor of factors (Llama 3).
    private static func ropeScaling(_ checkpoint: GGUFCheckpoint, theta: Double) throws -> JSONValue? {
        let metadata = checkpoint.metadata
        if let divisors = try checkpoint.loadRopeFactors(), divisors.contains(where: { $0 != 1 }) {
            guard theta > 0,
                case .llama3(let factor, let low, let high, let positions) = RopeScaling(
                    divisors: divisors, theta: theta)
            else {
                throw CheckpointError.unsupported(
                    file: metadata.file, what: "RoPE factors in", found: GGUFNames.ropeFactors,
                    supported: "those of Llama 3")
            }
            return [
                "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low),
                "high_freq_factor": .number(high), "original_max_position_embeddings": .integer(positions),
            ]
        }
        // As in llama.cpp: a factor without a type is a linear one, and older files have it under another key.
        let type = try metadata.string("llama.rope.scaling.type") ?? "linear"
        let stored =
            try metadata.number("llama.rope.scaling.factor") ?? metadata.number("llama.rope.scale_linear") ?? 1
        let factor = JSONValue.number(stored == 0 ? 1 : stored)
        let original = try metadata.integer("llama.rope.scaling.original_context_length").map { JSONValue.integer($0) }
        switch type {
        case "none": return nil
        case "linear": return factor == 1.0 ? nil : ["rope_type": "linear", "factor": factor]
        case "yarn":
            var json: JSONObject = ["rope_type": "yarn", "factor": factor]
            json["original_max_position_embeddings"] = original
            for (key, name) in [("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")] {
                json[key] = try metadata.number("llama.rope.scaling.\(name)").map { .number($0) }
            }
            if let attention = try metadata.number("llama.rope.scaling.yarn_attn_factor"), attention != 1 {
                let own = stored <= 1 ? 1 : 0.1 * log(stored) + 1
                json["attention_factor"] = .number(attention * own)
            }
            return .object(json)
        case "longrope":
            var json: JSONObject = ["rope_type": "longrope"]
            for length in ["short", "long"] {
                let factors = try checkpoint.load("rope_factors_\(length).weight", as: .float32).array(Float.self)
                json["\(length)_factor"] = .array(factors.map { .number(Double($0)) })
            }
            json["original_max_position_embeddings"] = original
            json["attention_factor"] = try metadata.number("llama.rope.scaling.attn_factor").map { .number($0) }
            return .object(json)
        default:
            throw CheckpointError.unsupported(
                file: metadata.file, what: "llama.rope.scaling.type", found: type,
                supported: "none, linear, yarn, longrope")
        }
    }
}
