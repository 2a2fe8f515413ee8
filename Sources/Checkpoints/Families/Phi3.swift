/// Phi-3 and Phi-4 (arXiv 2404.14219): fused projections, heads that may turn in part, LongRoPE.
public enum Phi3: Family {
    public static let modelTypes = ["phi3"]
    public static let gguf: GGUFFamily? = GGUFFamily(
        "phi3",
        configure: { keys, json in
            try keys.setRotaryFactor(&json)
            json["original_max_position_embeddings"] = try keys.integer("rope.scaling.original_context_length")
            let window = try keys.integer("attention.sliding_window")
            json["sliding_window"] = window == 0 ? .null : window ?? .null
        }, derive: split)

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var object = file.object
        // Its own "yarn" and "su" are what was called LongRoPE later.
        for key in ["rope_scaling", "rope_parameters"] {
            guard var scaling = object[key]?.objectValue else { continue }
            for type in ["type", "rope_type"] where ["yarn", "su"].contains(scaling[type]?.stringValue) {
                scaling[type] = "longrope"
            }
            object[key] = .object(scaling)
        }
        if file.value("original_max_position_embeddings") == nil { object["original_max_position_embeddings"] = 4096 }
        let reader = ConfigurationReader(object: object, file: file.file, prefix: file.prefix)
        var decoder = try reader.decoder(
            defaults: .init {
                ($0.positions, $0.epsilon, $0.eos) = (4096, 1e-5, [32_000])
            }, rotaryFactor: reader.rotaryFactor())
        decoder.json = file.object
        try file.requireEvenHeads(decoder)
        (decoder.attentionBias, decoder.outputBias, decoder.mlpBias) = (false, false, false)
        decoder.slidingWindow = try file.slidingWindow()
        return decoder
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        try split(&tensors, decoder)
    }

    @Sendable private static func split(_ tensors: inout TensorDerivation, _ decoder: DecoderConfiguration) throws {
        tensors.splitAttention("qkv_proj", decoder)
        let width = decoder.intermediateSize
        // llama.cpp leaves the fused matrix under the name of its second half.
        for fused in ["gate_up_proj", "mlp.up_proj"] {
            let prefix = fused.hasPrefix("mlp.") ? "mlp." : ""
            tensors.split(fused, into: [("\(prefix)gate_proj", width), ("\(prefix)up_proj", width)])
        }
        tensors.gatherTurning(decoder)
    }
}

extension TensorDerivation {
    /// Splits the rows of the tensors whose names end in `fused` into q, k and v.
    public mutating func splitAttention(_ fused: String, _ decoder: DecoderConfiguration) {
        let (query, keyValue) = (
            decoder.headCount * decoder.headDim, decoder.keyValueHeadCount * decoder.headDim
        )
        split(fused, into: [("q_proj", query), ("k_proj", keyValue), ("v_proj", keyValue)])
    }
}
