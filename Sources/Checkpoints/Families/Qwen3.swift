/// Qwen 3 (arXiv 2505.09388): norms of each head's queries and keys.
public enum Qwen3: Family {
    public static let modelTypes = ["qwen3"]
    public static let gguf: GGUFFamily? = GGUFFamily("qwen3")

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            defaults: .init {
                ($0.keyValueHeads, $0.headDim, $0.positions, $0.bos, $0.eos) = (32, 128, 32_768, [], [])
            })
        try file.requireEvenHeads(decoder)
        decoder.queryKeyNorm = .head
        try file.readUpperWindow(into: &decoder)
        return decoder
    }
}
