import Tensors

/// GPT-NeoX and Pythia (arXiv 2204.06745): LayerNorm, biases, an MLP beside the attention, and heads that turn in part.
public enum GPTNeoX: Family {
    public static let modelTypes = ["gpt_neox"]
    public static let embedding = "gpt_neox.embed_in.weight"
    public static let gguf: GGUFFamily? = GGUFFamily(
        "gptneox",
        configure: { keys, json in
            json["layer_norm_eps"] = try keys.number("attention.layer_norm_epsilon")
            json["use_parallel_residual"] = try keys.bool("use_parallel_residual")
            json["hidden_act"] = "gelu"
            try keys.setRotaryFactor(&json, as: "rotary_pct")
        },
        derive: { tensors, decoder in
            tensors.splitAttention("qkv_proj", decoder)
            tensors.gatherTurning(decoder)
        })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        let theta = try file.number("rotary_emb_base", upTo: 1e12, default: 10_000)
        var decoder = try file.decoder(
            keys: .init { $0.epsilon = "layer_norm_eps" },
            defaults: .init {
                ($0.epsilon, $0.theta, $0.activation, $0.bos, $0.eos) = (1e-5, theta, .gelu, [0], [2])
            }, rotaryFactor: file.rotaryFactor("rotary_pct", default: 0.25))
        try file.requireEvenHeads(decoder)
        let hasBias = try file.bool("attention_bias", default: true)
        (decoder.attentionBias, decoder.outputBias, decoder.mlpBias) = (hasBias, hasBias, true)
        (decoder.norm, decoder.isGated) = (.layer, false)
        decoder.isParallel = try file.bool("use_parallel_residual", default: true)
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.rename([
            "gpt_neox.embed_in.": "model.embed_tokens.",
            "gpt_neox.final_layer_norm.": "model.norm.",
            "embed_out.": "lm_head.",
            "gpt_neox.layers.": "model.layers.",
            ".attention.": ".self_attn.",
            ".self_attn.dense.": ".self_attn.o_proj.",
            ".mlp.dense_h_to_4h.": ".mlp.up_proj.",
            ".mlp.dense_4h_to_h.": ".mlp.down_proj.",
        ])
        tensors.dropMasks()
        // Of each head its query, key and value stand together.
        let (heads, dim) = (decoder.headCount, decoder.headDim)
        tensors.regroup("query_key_value", into: ["q_proj", "k_proj", "v_proj"], heads: heads, dim: dim)
        tensors.gatherTurning(decoder)
    }
}
