/// Qwen 2 and 2.5 (arXiv 2407.10671): biases of queries, keys and values.
public enum Qwen2: Family {
    public static let modelTypes = ["qwen2"]
    public static let gguf: GGUFFamily? = GGUFFamily("qwen2")

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            defaults: .init {
                ($0.keyValueHeads, $0.positions, $0.bos, $0.eos) = (32, 32_768, [], [])
            })
        try file.requireEvenHeads(decoder)
        (decoder.attentionBias, decoder.outputBias, decoder.mlpBias) = (true, false, false)
        try file.readUpperWindow(into: &decoder)
        return decoder
    }
}

extension ConfigurationReader {
    /// Qwen's sliding window: that of layers from `max_window_layers` on, or as `layer_types` says; where it is used at all.
    func readUpperWindow(into decoder: inout DecoderConfiguration) throws {
        guard try bool("use_sliding_window", default: false) else { return }
        decoder.slidingWindow = try slidingWindow(default: 4096)
        guard decoder.slidingWindow != nil else { return }
        let first = try integer("max_window_layers", in: 0...1 << 31, default: 28)
        decoder.setLocal(try localLayers(decoder.layerCount) ?? (0..<decoder.layerCount).map { $0 >= first })
    }
}
