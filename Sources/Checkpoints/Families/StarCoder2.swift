import Tensors

/// StarCoder 2 (arXiv 2402.19173): LayerNorm, biases everywhere, and an MLP without a gate.
public enum StarCoder2: Family {
    public static let modelTypes = ["starcoder2"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "starcoder2",
        configure: { keys, json in
            json["norm_epsilon"] = try keys.number("attention.layer_norm_epsilon")
            json["sliding_window"] = try keys.integer("attention.sliding_window") ?? .null
            json["use_bias"] = json["attention_bias"]
        })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            keys: .init { $0.epsilon = "norm_epsilon" },
            defaults: .init {
                ($0.keyValueHeads, $0.positions, $0.epsilon, $0.isTied) = (2, 4096, 1e-5, true)
                ($0.activation, $0.bos, $0.eos) = (.geluTanh, [50_256], [50_256])
            })
        try file.requireEvenHeads(decoder)
        let hasBias = try file.bool("use_bias", default: true)
        (decoder.attentionBias, decoder.outputBias, decoder.mlpBias) = (hasBias, hasBias, hasBias)
        (decoder.norm, decoder.isGated) = (.layer, false)
        decoder.slidingWindow = try file.slidingWindow()
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.rename([".mlp.c_fc.": ".mlp.up_proj.", ".mlp.c_proj.": ".mlp.down_proj."])
    }
}
