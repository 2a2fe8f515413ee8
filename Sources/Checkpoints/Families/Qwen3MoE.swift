/// Qwen 3's mixtures of experts (arXiv 2505.09388): Qwen 3 with experts in all layers or in some.
public enum Qwen3MoE: Family {
    public static let modelTypes = ["qwen3_moe"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "qwen3moe", hasExperts: true,
        configure: { keys, json in
            // As in llama.cpp, which knows no layer without experts.
            json["norm_topk_prob"] = true
            let active = json["num_experts_per_tok"]?.integerValue ?? 0
            let all = json["intermediate_size"]?.integerValue ?? 0
            let own = try keys.integer("expert_feed_forward_length")
            json["moe_intermediate_size"] = own == nil || own == 0 ? .integer(all / max(1, active)) : own
        }, derive: { tensors, _ in tensors.takeExpertsApart() })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            defaults: .init { ($0.keyValueHeads, $0.positions, $0.bos, $0.eos) = (4, 32_768, [], []) })
        try file.requireEvenHeads(decoder)
        decoder.queryKeyNorm = .head
        decoder.mlpBias = false
        if try file.bool("use_sliding_window", default: false) {
            decoder.slidingWindow = try file.slidingWindow(default: 4096)
        }
        decoder.experts = try experts(file, decoder.layerCount)
        return decoder
    }

    private static func experts(_ file: ConfigurationReader, _ layers: Int) throws -> ExpertMixture? {
        // transformers 5 has Mixtral's key for what 4 calls otherwise.
        let count = file.value("num_experts") == nil ? "num_local_experts" : "num_experts"
        if file.value(count)?.integerValue == 0 { return nil }
        let step = try file.integer("decoder_sparse_step", in: 1...4096, default: 1)
        let dense = try file.layers("mlp_only_layers", below: layers)
            .union((0..<layers).filter { ($0 + 1) % step != 0 })
        guard dense.count < layers else { return nil }
        return try ExpertMixture(
            file, layers: layers, count: count, active: "num_experts_per_tok", defaults: (128, 8),
            width: file.integer("moe_intermediate_size", in: 1...1 << 24, default: 768),
            isNormalised: file.bool("norm_topk_prob", default: false), denseLayers: dense)
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.takeExpertsApart(width: decoder.experts?.width)
    }
}
