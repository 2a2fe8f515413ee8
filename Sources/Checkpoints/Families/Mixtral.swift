/// Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral with experts, whose weights are divided by their sum.
public enum Mixtral: Family {
    public static let modelTypes = ["mixtral"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "llama", interleavesHeads: true, hasExperts: true, derive: { tensors, _ in tensors.takeExpertsApart() })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            defaults: .init {
                ($0.keyValueHeads, $0.positions, $0.epsilon, $0.theta) = (8, 131_072, 1e-5, 1e6)
            })
        try file.requireEvenHeads(decoder)
        (decoder.attentionBias, decoder.outputBias, decoder.mlpBias) = (false, false, false)
        decoder.slidingWindow = try file.slidingWindow()
        decoder.experts = try ExpertMixture(
            file, layers: decoder.layerCount, count: "num_local_experts", active: "num_experts_per_tok",
            defaults: (8, 2),
            width: decoder.intermediateSize, isNormalised: true)
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.rename([
            ".block_sparse_moe.": ".mlp.", ".w1.": ".gate_proj.", ".w2.": ".down_proj.", ".w3.": ".up_proj.",
        ])
        tensors.takeExpertsApart(width: decoder.intermediateSize)
    }
}

extension TensorDerivation {
    /// Experts' matrices that are stacked, of transformers 5 with gate and up in one (E, 2F, D).
    mutating func takeExpertsApart(width: Int? = nil) {
        unstackExperts(["gate_proj", "up_proj", "down_proj", "gate_up_proj"])
        if let width { split("gate_up_proj", into: [(name: "gate_proj", count: width), ("up_proj", width)]) }
    }
}
