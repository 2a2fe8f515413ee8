import Foundation
import Support

extension DecoderConfiguration {
    /// The configuration of a GGUF file, decoded as the config.json that the model would have.
    ///
    /// Embeddings are tied when the file has no output tensor; biases are there when layer 0 has them.
    /// - Throws: As ``init(json:file:families:)``; also for architectures that are none of `families`.
    public init(gguf checkpoint: GGUFCheckpoint, families: [any Family.Type] = Families.all) throws {
        let metadata = checkpoint.metadata, file = checkpoint.path
        let architecture = try metadata.string("general.architecture") ?? "(none)"
        let keys = GGUFKeys(metadata: metadata, architecture: architecture)
        let experts = try keys.expertCount(), hasExperts = experts > 0
        guard let family = Families.family(ofGGUF: architecture, hasExperts: hasExperts, among: families),
            let own = family.gguf
        else {
            throw CheckpointError.unsupported(
                file: file, what: "general.architecture", found: architecture,
                supported: Families.architectures(families).joined(separator: ", "))
        }
        func integer(_ key: String) throws -> JSONValue {
            guard let value = try keys.integer(key) else {
                throw CheckpointError.configuration(
                    file: file, key: keys.name(key), expected: "an integer", found: "nothing")
            }
            return value
        }
        guard own.hasExperts == hasExperts else {
            throw CheckpointError.unsupported(
                file: file, what: "\(architecture) with \(keys.name("expert_count"))", found: "\(experts)",
                supported: own.hasExperts ? "mixtures of experts" : "dense models")
        }
        var json = JSONObject([("model_type", .string(family.modelTypes[0]))])
        if family.modelTypes[0] == "llama" {
            json = JSONObject([
                ("architectures", ["LlamaForCausalLM"]), ("model_type", "llama"), ("hidden_act", "silu"),
            ])
        }
        for (key, stored) in [
            ("hidden_size", "embedding_length"), ("intermediate_size", "feed_forward_length"),
            ("num_hidden_layers", "block_count"), ("num_attention_heads", "attention.head_count"),
            ("max_position_embeddings", "context_length"),
        ] {
            json[key] = try integer(stored)
        }
        if hasExperts {
            json["num_local_experts"] = .integer(experts)
            json["num_experts_per_tok"] = try integer("expert_used_count")
        }
        // Shortest text of the float32, so that 1e-5 is 1e-5 again.
        let isLayerNorm = metadata[keys.name("attention.layer_norm_epsilon")] != nil
        if let epsilon = try keys.number("attention.layer_norm_rms_epsilon") {
            json["rms_norm_eps"] = epsilon
        } else if !isLayerNorm {
            throw CheckpointError.configuration(
                file: file, key: keys.name("attention.layer_norm_rms_epsilon"), expected: "a number", found: "nothing")
        }
        json["vocab_size"] = .integer(try Self.vocabularySize(checkpoint))
        json["num_key_value_heads"] = try keys.integer("attention.head_count_kv")
        json["head_dim"] = try Self.headDim(keys).map { .integer($0) }
        json["tie_word_embeddings"] = .bool(checkpoint.description(of: "lm_head.weight") == nil)
        func has(_ name: String) -> JSONValue {
            .bool(checkpoint.description(of: "model.layers.0.\(name).bias") != nil)
        }
        json["attention_bias"] = has("self_attn.q_proj") == true ? true : has("self_attn.qkv_proj")
        json["attention_output_bias"] = has("self_attn.o_proj")
        json["mlp_bias"] = has("mlp.down_proj")
        json["eos_token_id"] = .array(try metadata.endTokens().map { .integer($0) })
        for (key, stored) in [("bos_token_id", "bos_token_id"), ("pad_token_id", "padding_token_id")] {
            json[key] = try metadata.integer("tokenizer.ggml." + stored).map { .integer($0) } ?? .null
        }
        let theta = try metadata.number(keys.name("rope.freq_base")) ?? 10_000
        json["rope_theta"] = .number(theta)
        json["rope_scaling"] = try Self.ropeScaling(checkpoint, keys, theta: theta)
        try own.configure(keys, &json)
        try self.init(json: .object(json), file: file, families: families)
    }

    private static func vocabularySize(_ checkpoint: GGUFCheckpoint) throws -> Int {
        if let rows = checkpoint.description(of: "model.embed_tokens.weight")?.shape.first { return rows }
        throw CheckpointError.missingTensor(path: checkpoint.path, name: "token_embd.weight")
    }

    /// The explicit head size; keys and values, and of Llama rotated dimensions, must agree.
    private static func headDim(_ keys: GGUFKeys) throws -> Int? {
        var size: Int?
        // Of other architectures fewer dimensions may turn than a head has.
        let turning = keys.architecture == "llama" ? ["rope.dimension_count"] : []
        for key in ["attention.key_length", "attention.value_length"] + turning {
            guard let found = try keys.metadata.integer(keys.name(key)) else { continue }
            guard size == nil || size == found else {
                throw CheckpointError.unsupported(
                    file: keys.metadata.file, what: keys.name(key), found: "\(found)",
                    supported: "the size of keys, values and rotary dimensions alike")
            }
            size = found
        }
        return size
    }

    /// Scaling from the metadata, or from the tensor of factors (Llama 3).
    private static func ropeScaling(_ checkpoint: GGUFCheckpoint, _ keys: GGUFKeys, theta: Double) throws -> JSONValue?
    {
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
        let hasFactors = checkpoint.description(of: "rope_factors_short.weight") != nil
        let type = try metadata.string(keys.name("rope.scaling.type")) ?? (hasFactors ? "longrope" : "linear")
        let stored =
            try metadata.number(keys.name("rope.scaling.factor")) ?? metadata.number(keys.name("rope.scale_linear"))
            ?? 1
        let factor = JSONValue.number(stored == 0 ? 1 : stored)
        let original = try metadata.integer(keys.name("rope.scaling.original_context_length")).map {
            JSONValue.integer($0)
        }
        switch type {
        case "none": return nil
        case "linear": return factor == 1.0 ? nil : ["rope_type": "linear", "factor": factor]
        case "yarn":
            var json: JSONObject = ["rope_type": "yarn", "factor": factor]
            json["original_max_position_embeddings"] = original
            for (key, name) in [("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")] {
                json[key] = try metadata.number(keys.name("rope.scaling.\(name)")).map { .number($0) }
            }
            if let attention = try metadata.number(keys.name("rope.scaling.yarn_attn_factor")), attention != 1 {
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
            json["attention_factor"] = try metadata.number(keys.name("rope.scaling.attn_factor")).map { .number($0) }
            return .object(json)
        default:
            throw CheckpointError.unsupported(
                file: metadata.file, what: keys.name("rope.scaling.type"), found: type,
                supported: "none, linear, yarn, longrope")
        }
    }
}
