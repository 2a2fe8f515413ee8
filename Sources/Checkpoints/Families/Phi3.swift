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
        },
        derive: { tensors, decoder in
            tensors.splitAttention("qkv_proj", decoder)
            // llama.cpp leaves the fused matrix under the name of its second half.
            let width = decoder.intermediateSize
            tensors.split(".up_proj", into: [(name: ".gate_proj", count: width), (".up_proj", width)])
            tensors.gatherTurning(decoder)
        })

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
        tensors.splitAttention("qkv_proj", decoder)
        let width = decoder.intermediateSize
        tensors.split("gate_up_proj", into: [(name: "gate_proj", count: width), ("up_proj", width)])
        tensors.gatherTurning(decoder)
    }
}
