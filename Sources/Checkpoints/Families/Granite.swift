/// Granite 3 (IBM 2024): four multipliers.
public enum Granite: Family {
    public static let modelTypes = ["granite"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "granite", interleavesHeads: true,
        configure: { keys, json in
            for (key, stored) in [
                ("embedding_multiplier", "embedding_scale"), ("residual_multiplier", "residual_scale"),
                ("attention_multiplier", "attention.scale"), ("logits_scaling", "logit_scale"),
            ] {
                // 0 stands for none.
                json[key] = try keys.number(stored).flatMap { $0 == 0 ? nil : $0 }
            }
            if json["attention_multiplier"] == nil, let dim = try keys.headDim(json) {
                json["attention_multiplier"] = .number(1 / Double(dim).squareRoot())
            }
        }, derive: scaleLogits)

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder()
        try file.requireEvenHeads(decoder)
        func multiplier(_ key: String) throws -> Double { try file.number(key, upTo: 1e6, default: 1) }
        decoder.attentionScale = Float(try multiplier("attention_multiplier"))
        // h + r · f(norm(h)) with h = r · x is r · (x + f(norm(x))): a norm is the same for x but for its ε.
        let residual = try multiplier("residual_multiplier")
        decoder.embeddingScale = Float(try multiplier("embedding_multiplier") / residual)
        decoder.normEpsilon = Float(Double(decoder.normEpsilon) / (residual * residual))
        guard decoder.embeddingScale.isFinite, decoder.normEpsilon.isFinite else {
            throw file.wrong("residual_multiplier", "a number of ordinary size")
        }
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        try scaleLogits(&tensors, decoder)
    }

    /// What divides logits can as well divide the weight of the norm before the head.
    @Sendable private static func scaleLogits(_ tensors: inout TensorDerivation, _ decoder: DecoderConfiguration) throws
    {
        guard let divisor = decoder.json["logits_scaling"]?.doubleValue, divisor != 1, divisor > 0 else { return }
        tensors.change({ $0 == "model.norm.weight" }) { .scaled($0, by: Float(1 / divisor), plus: 0) }
    }
}
