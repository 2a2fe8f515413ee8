/// OLMo 2 (arXiv 2501.00656): norms after the mixer and the MLP instead of before, and of all queries and keys together.
public enum Olmo2: Family {
    public static let modelTypes = ["olmo2"]
    public static let gguf: GGUFFamily? = GGUFFamily("olmo2")

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            defaults: .init {
                ($0.epsilon, $0.bos, $0.eos) = (1e-5, [], [50_279])
            })
        try file.requireEvenHeads(decoder)
        decoder.mlpBias = false
        decoder.normPlacement = .after
        decoder.queryKeyNorm = .whole
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.rename([
            ".post_attention_layernorm.": ".post_mixer_layernorm.",
            ".post_feedforward_layernorm.": ".post_mlp_layernorm.",
        ])
    }
}
