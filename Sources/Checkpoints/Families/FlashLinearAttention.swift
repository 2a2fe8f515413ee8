import Support

/// The models of flash-linear-attention that Moult computes: a recurrent layer in the place of attention, of the kind that the model
/// type says.
public enum FlashLinearAttention: Family {
    public static let modelTypes = ["gsa", "retnet", "gla", "gated_deltanet", "kda", "mamba2", "hgrn2"]
    public static let isTransformer = false
    public static let embedding = "model.embeddings.weight"

    public static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        let type = try file.string("model_type") ?? ""
        let hasMLP = type != "mamba2"
        var object = file.object
        if !hasMLP {
            object["intermediate_size"] = 1
            object["hidden_act"] = nil
        } else if file.value("intermediate_size") == nil {
            // 2/3 · hidden_size · hidden_ratio, up to a multiple of 256.
            let ratio = try file.number("hidden_ratio", upTo: 64, default: type == "retnet" ? 2 : 4)
            let width = try file.integer("hidden_size", in: 1...1 << 20)
            object["intermediate_size"] = .integer((Int(Double(width) * ratio * 2 / 3) + 255) / 256 * 256)
        }
        if type != "gsa" { try setHeads(of: type, file, &object) }
        let reader = ConfigurationReader(object: object, file: file.file, prefix: file.prefix)
        var decoder = try reader.decoder(
            keys: .init {
                ($0.heads, $0.keyValueHeads, $0.epsilon) = ("num_heads", "num_kv_heads", "norm_eps")
            }, defaults: .init { $0.epsilon = hasMLP ? 1e-6 : 1e-5 })
        decoder.json = file.object
        if !hasMLP { decoder.intermediateSize = 0 }
        if file.value("sliding_window") != nil { decoder.slidingWindow = try file.slidingWindow() }
        return decoder
    }

    /// Says how many heads there are, and how wide: those of softmax attention where some layers have it, else the recurrent layers'.
    private static func setHeads(
        of type: String, _ file: ConfigurationReader, _ object: inout JSONObject
    ) throws {
        if let attention = file.object["attn"]?.objectValue {
            (object["num_heads"], object["num_kv_heads"]) = (attention["num_heads"], attention["num_kv_heads"])
            object["head_dim"] = nil
            return
        }
        let size = try file.integer("hidden_size", in: 1...1 << 20)
        func heads(_ fallback: Int) throws -> Int {
            try file.integer("num_heads", in: 1...1 << 16, default: fallback)
        }
        let count: Int
        var dim: Int?
        switch type {
        case "retnet":
            count = try heads(8)
            dim = Int((Double(size) * (try file.number("expand_k", upTo: 64, default: 1))).rounded()) / count
        case "gla": count = try heads(4)
        case "hgrn2":
            let isNull = file.object["expand_ratio"] == .null && file.value("num_heads") != nil
            count =
                isNull
                ? try heads(1) : max(1, size / (try file.integer("expand_ratio", in: 1...1 << 14, default: 128)))
        case "mamba2":
            dim = try file.integer("head_dim", in: 1...1 << 14, default: 64)
            let wide = Double(size) * (try file.number("expand", upTo: 64, default: 2))
            count = max(1, Int(wide) / (dim ?? 64))
        default:
            count = try heads(type == "kda" ? 16 : 6)
            dim = try file.integer("head_dim", in: 1...1 << 14, default: type == "kda" ? 128 : 256)
        }
        object["num_heads"] = .integer(count)
        if type != "gla" && type != "retnet" { object["num_kv_heads"] = .integer(count) }
        object["head_dim"] = .integer(max(1, dim ?? size / max(1, count)))
    }

    public static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        switch decoder.modelType {
        case "hgrn2":
            tensors.sumSoftmax("model.lower_bounds") { "model.layers.\($0).attn.lower_bound" }
        case "mamba2":
            tensors.rename([
                "backbone.embedding.": "model.embeddings.", "backbone.embeddings.": "model.embeddings.",
                "backbone.norm_f.": "model.norm.", ".mixer.norm.": ".attn.gate_norm.",
                ".norm.weight": ".attn_norm.weight",
                "model.attn_norm.": "model.norm.", ".mixer.": ".attn.", "backbone.layers.": "model.layers.",
            ])
            let heads = decoder.headCount, inner = heads * decoder.headDim
            let groups = decoder.json["n_groups"]?.integerValue ?? 1
            let size = decoder.json["state_size"]?.integerValue ?? 128
            // What is no size the mixer refuses.
            guard (1...1 << 16).contains(groups), (1...1 << 14).contains(size) else { return }
            let shared = groups * size
            tensors.split(
                "in_proj",
                into: [
                    ("z_proj", inner), ("x_proj", inner), ("b_proj", shared), ("c_proj", shared), ("dt_proj", heads),
                ])
            tensors.split("conv1d", into: [("x_conv1d", inner), ("b_conv1d", shared), ("c_conv1d", shared)])
        default: break
        }
    }
}
