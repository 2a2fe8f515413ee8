/// SmolLM3 (Hugging Face 2025): no rotation in every fourth layer (NoPE; arXiv 2501.18795).
public enum SmolLM3: Family {
    public static let modelTypes = ["smollm3"]
    public static let gguf: GGUFFamily? = GGUFFamily("smollm3", interleavesHeads: true)

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            defaults: .init {
                ($0.keyValueHeads, $0.positions, $0.theta, $0.isTied) = (4, 32_768, 2e6, true)
                ($0.bos, $0.eos) = ([128_000], [128_001])
            })
        try file.requireEvenHeads(decoder)
        decoder.unrotatedLayers = try unrotated(file, decoder.layerCount)
        guard try file.bool("use_sliding_window", default: false) else { return decoder }
        decoder.slidingWindow = try file.slidingWindow()
        guard decoder.slidingWindow != nil else { return decoder }
        let unrotated = decoder.unrotatedLayers
        decoder.setLocal(try file.localLayers(decoder.layerCount) ?? (0..<decoder.layerCount).map(unrotated.contains))
        return decoder
    }

    /// `no_rope_layers` has 1 for a layer that turns, in spite of its name.
    private static func unrotated(_ file: ConfigurationReader, _ count: Int) throws -> Set<Int> {
        guard let value = file.value("no_rope_layers") else {
            let interval = try file.integer("no_rope_layer_interval", in: 1...4096, default: 4)
            return Set((0..<count).filter { ($0 + 1) % interval == 0 })
        }
        let turns = value.arrayValue?.compactMap(\.integerValue) ?? []
        guard turns.count == count, value.arrayValue?.count == count else {
            throw file.wrong("no_rope_layers", "\(count) numbers, 1 for a layer with rotary positions and 0 for others")
        }
        return Set(turns.indices.filter { turns[$0] == 0 })
    }
}
