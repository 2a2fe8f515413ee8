/// Gated Slot Attention as flash-linear-attention has it (model type "gsa").
public enum FlashLinearAttention: Family {
    public static let modelTypes = ["gsa"]
    public static let isTransformer = false
    public static let embedding = "model.embeddings.weight"

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var object = file.object
        if file.value("intermediate_size") == nil {
            // 2/3 · hidden_size · hidden_ratio, up to a multiple of 256.
            let ratio = try file.number("hidden_ratio", upTo: 64, default: 4)
            let width = try file.integer("hidden_size", in: 1...1 << 20)
            object["intermediate_size"] = .integer((Int(Double(width) * ratio * 2 / 3) + 255) / 256 * 256)
        }
        let reader = ConfigurationReader(object: object, file: file.file, prefix: file.prefix)
        var decoder = try reader.decoder(
            keys: .init {
                ($0.heads, $0.keyValueHeads, $0.epsilon) = ("num_heads", "num_kv_heads", "norm_eps")
            })
        decoder.json = file.object
        if file.value("sliding_window") != nil { decoder.slidingWindow = try file.slidingWindow() }
        return decoder
    }
}
