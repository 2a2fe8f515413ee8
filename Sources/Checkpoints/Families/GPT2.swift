import Tensors

/// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases, and matrices stored as (inputs, outputs).
public enum GPT2: Family {
    public static let modelTypes = ["gpt2"]
    public static let embedding = "transformer.wte.weight"
    public static let gguf: GGUFFamily? = GGUFFamily(
        "gpt2",
        configure: { keys, json in
            for (key, stored) in [
                ("n_embd", "hidden_size"), ("n_layer", "num_hidden_layers"), ("n_head", "num_attention_heads"),
                ("n_inner", "intermediate_size"), ("n_positions", "max_position_embeddings"),
            ] {
                json[key] = json[stored]
            }
            json["layer_norm_epsilon"] = try keys.number("attention.layer_norm_epsilon")
        }, derive: { tensors, decoder in tensors.splitAttention("qkv_proj", decoder) })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        try file.require("add_cross_attention", false)
        var decoder = try file.decoder(
            keys: .init {
                ($0.hiddenSize, $0.layers, $0.heads, $0.intermediateSize) = ("n_embd", "n_layer", "n_head", "n_inner")
                ($0.keyValueHeads, $0.positions, $0.epsilon) = ("n_head", "n_positions", "layer_norm_epsilon")
                $0.activation = "activation_function"
            },
            defaults: .init {
                ($0.widthRatio, $0.positions, $0.epsilon, $0.isTied) = (4, 1024, 1e-5, true)
                ($0.activation, $0.bos, $0.eos) = (.geluTanh, [50_256], [50_256])
            })
        try file.requireEvenHeads(decoder)
        (decoder.attentionBias, decoder.outputBias, decoder.mlpBias) = (true, true, true)
        (decoder.norm, decoder.isGated, decoder.hasLearnedPositions) = (.layer, false, true)
        if try !file.bool("scale_attn_weights", default: true) { decoder.attentionScale = 1 }
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.rename([
            "transformer.wte.": "model.embed_tokens.",
            "transformer.wpe.": "model.embed_positions.",
            "transformer.ln_f.": "model.norm.",
            "transformer.h.": "model.layers.",
            ".ln_1.": ".input_layernorm.",
            ".ln_2.": ".post_attention_layernorm.",
            ".attn.c_proj.": ".self_attn.o_proj.",
            ".attn.": ".self_attn.",
            ".mlp.c_fc.": ".mlp.up_proj.",
            ".mlp.c_proj.": ".mlp.down_proj.",
        ])
        tensors.dropMasks()
        let maps = ["c_attn", "o_proj", "up_proj", "down_proj"].map { ".\($0).weight" }
        tensors.change({ name in maps.contains { name.hasSuffix($0) } }) { .transposed($0) }
        tensors.splitAttention("c_attn", decoder)
        guard decoder.json["scale_attn_by_inverse_layer_idx"] == true else { return }
        for layer in 1..<max(1, decoder.layerCount) {
            tensors.change({ $0.hasPrefix("model.layers.\(layer).self_attn.q_proj.") }) {
                .scaled($0, by: 1 / Float(layer + 1), plus: 0)
            }
        }
    }
}
