/// Gemma 3's texts (arXiv 2503.19786): Gemma 2 with norms of queries and keys instead of soft caps, and five layers with a
/// sliding window and rotary positions of their own to one that sees all.
public enum Gemma3: Family {
    public static let modelTypes = ["gemma3_text"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "gemma3",
        configure: { keys, json in
            json["sliding_window"] = try keys.integer("attention.sliding_window")
            json["final_logit_softcapping"] = try keys.number("final_logit_softcapping")
            try keys.setLocalLayers(&json)
            json["rope_local_base_freq"] = try keys.number("rope.freq_base_swa") ?? 10_000
            Gemma.setAttentionScale(&json, largest: 62)
        })

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        try file.require("use_bidirectional_attention", false)
        var decoder = try Gemma.decoder(file, window: 4096, theta: 1e6)
        decoder.queryKeyNorm = .head
        // attn_logit_softcapping is inherited and not used.
        if file.value("final_logit_softcapping") != nil {
            decoder.logitCap = Float(try file.number("final_logit_softcapping", upTo: 1e6))
        }
        func rope(_ kind: String, theta: Double) throws -> DecoderConfiguration.Rope {
            try file.rope(
                maximumPositions: decoder.maximumPositions, rotaryDim: decoder.headDim, of: kind, theta: theta)
        }
        let global = try rope("full_attention", theta: 1e6)
        (decoder.ropeTheta, decoder.ropeScaling) = (global.theta, global.scaling)
        let base = try file.number("rope_local_base_freq", upTo: 1e12, default: 10_000)
        let own = try file.nested("rope_parameters")?.nested("sliding_attention")
        decoder.localRope = try own == nil ? .init(theta: base) : rope("sliding_attention", theta: base)
        let pattern = try file.integer("sliding_window_pattern", in: 1...4096, default: 6)
        decoder.setLocal(
            try file.localLayers(decoder.layerCount) ?? (1...decoder.layerCount).map { $0 % pattern != 0 })
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        Gemma.derive(&tensors)
    }
}
