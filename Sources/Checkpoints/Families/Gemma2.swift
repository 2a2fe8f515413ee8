import Support

/// Gemma 2 (arXiv 2408.00118): norms before and after, with weights 1 + w, a gated GELU, scaled embeddings, soft caps, and a
/// sliding window in every other layer.
public enum Gemma2: Family {
    public static let modelTypes = ["gemma2"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "gemma2",
        configure: { keys, json in
            for key in ["attn_logit_softcapping", "final_logit_softcapping"] { json[key] = try keys.number(key) }
            json["sliding_window"] = try keys.integer("attention.sliding_window")
            try keys.setLocalLayers(&json)
            Gemma.setAttentionScale(&json, largest: 46)
        })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try Gemma.decoder(file, window: 4096)
        func cap(_ key: String, default fallback: Double) throws -> Float? {
            file.object[key] == .null ? nil : Float(try file.number(key, upTo: 1e6, default: fallback))
        }
        decoder.attentionCap = try cap("attn_logit_softcapping", default: 50)
        decoder.logitCap = try cap("final_logit_softcapping", default: 30)
        decoder.setLocal(try file.localLayers(decoder.layerCount) ?? (0..<decoder.layerCount).map { $0 % 2 == 0 })
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        Gemma.derive(&tensors)
    }
}

/// What Gemma's generations have alike.
enum Gemma {
    static func decoder(_ file: ConfigurationReader, window: Int, theta: Double = 10_000) throws -> DecoderConfiguration
    {
        var decoder = try file.decoder(
            keys: .init { $0.activation = "hidden_activation" },
            defaults: .init {
                ($0.keyValueHeads, $0.headDim, $0.positions, $0.isTied) = (4, 256, 8192, true)
                ($0.theta, $0.activation, $0.bos, $0.eos) = (theta, .geluTanh, [2], [1])
            })
        try file.requireEvenHeads(decoder)
        decoder.mlpBias = false
        decoder.normPlacement = .around
        decoder.embeddingScale = Float(decoder.hiddenSize).squareRoot()
        let scalar = try file.number("query_pre_attn_scalar", upTo: 1e6, default: 256)
        if scalar != Double(decoder.headDim) { decoder.attentionScale = Float(1 / scalar.squareRoot()) }
        decoder.slidingWindow = try file.slidingWindow(default: window)
        return decoder
    }

    static func derive(_ tensors: inout TensorDerivation) {
        tensors.rename([
            ".post_attention_layernorm.": ".post_mixer_layernorm.",
            ".pre_feedforward_layernorm.": ".post_attention_layernorm.",
            ".post_feedforward_layernorm.": ".post_mlp_layernorm.",
        ])
        tensors.change({ $0.hasSuffix("norm.weight") }) { .scaled($0, by: 1, plus: 1) }
    }

    /// GGUF files leave it out: 1/√K, but of the largest model, which has so many layers, 1/√(D/H).
    static func setAttentionScale(_ json: inout JSONObject, largest: Int) {
        let (width, heads) = (json["hidden_size"]?.integerValue, json["num_attention_heads"]?.integerValue)
        let isLargest = json["num_hidden_layers"]?.integerValue == largest
        if isLargest, let width, let heads, heads > 0 {
            json["query_pre_attn_scalar"] = .number(Double(width) / Double(heads))
        } else {
            json["query_pre_attn_scalar"] = json["head_dim"]
        }
    }
}
