/// Llama 1 to 3 (Touvron et al. 2023, arXiv 2302.13971; Dubey et al. 2024, arXiv 2407.21783), SmolLM2, Falcon 3 and others
/// of the same form: what all other families are told by their differences from.
public enum Llama: Family {
    public static let modelTypes = ["llama"]
    public static let gguf: GGUFFamily? = GGUFFamily("llama", interleavesHeads: true)

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        try file.require("partial_rotary_factor", 1)
        try file.nested("rope_parameters")?.require("partial_rotary_factor", 1)
        try file.nested("rope_scaling")?.require("partial_rotary_factor", 1)
        let decoder = try file.decoder()
        try file.requireEvenHeads(decoder)
        return decoder
    }
}
