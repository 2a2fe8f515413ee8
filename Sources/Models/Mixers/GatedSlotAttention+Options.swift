import Checkpoints
import Support
import Tensors

extension GatedSlotAttention {
    /// What the mixer is compatible with.
    public typealias Profile = MixerProfile

    /// What config.json says of the mixer.
    public struct Options: MemoryOptions {
        /// Slots per key/value head, M.
        public var slots: Int

        public static let names = ["slots"]

        // At equal bytes a longer window beside fewer slots predicts better, and recalls as much: docs/recipe.md, "The study".
        public init(window: Int) { slots = window == 0 ? 64 : 16 }

        public init(_ file: MixerOptionsReader) throws {
            guard file.profile == .fla else {
                slots = try file.integer("slots", in: 1...4096) ?? 64
                return
            }
            try file.require("feature_map", equals: .string("swish"))
            try file.require("gate_logit_normalizer", equals: .integer(Int(gateDivisor)))
            for key in ["use_short_conv", "use_output_gate"] { try file.require(key, equals: .bool(false)) }
            for key in ["use_norm", "elementwise_affine"] { try file.require(key, equals: .bool(true)) }
            try file.require("attnres_block_size", equals: .null)
            slots = try file.integer("num_slots", in: 1...4096) ?? file.decoder.headDim
            try file.requireFlashLinearAttention()
        }

        public var json: JSONObject { ["slots": .integer(slots)] }

        public var summary: String? { "\(slots) slots per key/value head" }

        public var line: (label: String, text: String)? { ("slots", "\(slots) for each key/value head") }
    }

    // MARK: flash-linear-attention

    public static let flashLinearAttentionType: String? = name

    /// GSAForCausalLM's keys, with its constructor's spelling `exapnd_k`.
    public static func flashLinearAttentionFile(
        _ configuration: ModelConfiguration, _ options: Options, dtype: DType
    ) -> JSONObject {
        let decoder = configuration.decoder
        var json = configuration.flashLinearAttentionFile("gsa", dtype: dtype)
        let own: JSONObject = [
            "architectures": .array([.string("GSAForCausalLM")]),
            "num_heads": .integer(decoder.headCount),
            "num_kv_heads": .integer(decoder.keyValueHeadCount),
            "num_slots": .integer(options.slots),
            "exapnd_k": 1, "exapnd_v": 1,
            "gate_logit_normalizer": 8,
            "feature_map": .string("swish"),
            "use_short_conv": .bool(false), "use_output_gate": .bool(false), "use_norm": .bool(true),
        ]
        for (key, value) in own.pairs { json[key] = value }
        configuration.writeFlashLinearAttention(to: &json)
        return json
    }
}
