/// Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama whose attention may have a sliding window.
public enum Mistral: Family {
    public static let modelTypes = ["mistral"]

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        try file.require("partial_rotary_factor", 1)
        var decoder = try file.decoder(
            defaults: .init {
                $0.keyValueHeads = 8
                $0.positions = 131_072
            })
        try file.requireEvenHeads(decoder)
        decoder.slidingWindow = try file.slidingWindow(default: 4096)
        return decoder
    }
}

extension ConfigurationReader {
    /// The sliding window: nil for null, `fallback` for an absent key.
    public func slidingWindow(default fallback: Int? = nil) throws -> Int? {
        if value("sliding_window") != nil { return try integer("sliding_window", in: 1...1 << 31) }
        return object["sliding_window"] == nil ? fallback : nil
    }
}
