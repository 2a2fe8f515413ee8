import Checkpoints
import Support
import Tensors

extension GatedSlotAttention {
    /// What the mixer is compatible with: flash-linear-attention's model, or the source's attention.
    public enum Profile: String, Sendable, CaseIterable {
        /// Loads in flash-linear-attention as GSAForCausalLM.
        case fla
        /// Keeps the source's attention: rotary positions, scale 1/sqrt(K), plain values.
        case softmaxPreserving = "softmax-preserving"
    }

    /// What config.json says of the mixer.
    public struct Options: Sendable, Equatable {
        /// What the mixer is compatible with.
        public var profile: Profile
        /// Slots per key/value head, M.
        public var slots: Int
        /// Tokens of the softmax window; 0 for none.
        public var window: Int

        /// Options of these values, as they would stand in config.json.
        public init(profile: Profile = .softmaxPreserving, slots: Int = 64, window: Int = 64) {
            self.profile = profile
            self.slots = slots
            self.window = window
        }

        /// Reads the options from a configuration and checks that the layer can be built with them.
        /// - Throws: ``ModelError/configuration(key:expected:found:)``.
        public init(_ configuration: ModelConfiguration) throws {
            self.init()
            let decoder = configuration.decoder
            if configuration.names == .flashLinearAttention {
                profile = .fla
                window = 0
                let json = decoder.json
                try Self.require(json, "feature_map", equals: .string("swish"))
                try Self.require(json, "gate_logit_normalizer", equals: .integer(Int(gateDivisor)))
                for key in ["use_short_conv", "use_output_gate"] { try Self.require(json, key, equals: .bool(false)) }
                for key in ["use_norm", "elementwise_affine"] { try Self.require(json, key, equals: .bool(true)) }
                try Self.require(json, "attnres_block_size", equals: .null)
                slots = try json.integer("num_slots", named: "num_slots", in: 1...4096) ?? decoder.headDim
            } else {
                let json = configuration.mixerOptions[GatedSlotAttention.name]
                if let found = json?["profile"], found != .string(Profile.softmaxPreserving.rawValue) {
                    throw ModelError.configuration(
                        key: "moult.gsa.profile", expected: "'\(Profile.softmaxPreserving.rawValue)'",
                        found: found.summary)
                }
                let options = json?.objectValue ?? JSONObject()
                slots = try options.integer("slots", named: "moult.gsa.slots", in: 1...4096) ?? slots
                window = try options.integer("window", named: "moult.gsa.window", in: 0...1_048_576) ?? 0
            }
            let values = decoder.headCount * decoder.headDim
            if profile == .fla, values != decoder.hiddenSize {
                throw ModelError.configuration(
                    key: "head_dim",
                    expected: "heads × head_dim = hidden_size (\(decoder.hiddenSize)) in the fla profile",
                    found: "\(decoder.headCount) × \(decoder.headDim) = \(values)")
            }
            if profile == .fla, let beyond = decoder.beyondLlama.keys.first {
                throw ModelError.configuration(
                    key: beyond, expected: "nothing beyond Llama in the fla profile, or the softmax-preserving profile",
                    found: (decoder.beyondLlama[beyond] ?? .null).summary)
            }
            if profile == .fla, decoder.attentionBias || decoder.outputBias || decoder.mlpBias {
                throw ModelError.configuration(
                    key: "attention_bias",
                    expected: "a model without biases in the fla profile, or the softmax-preserving profile",
                    found: "true")
            }
        }

        /// What the window sees, with so many sinks; nil without a window.
        func span(sinks: Int) -> AttentionSpan? {
            window > 0 ? AttentionSpan(window: window, sinks: sinks) : nil
        }

        /// The options as the "moult.gsa" object of config.json.
        public var json: JSONValue {
            .object([
                "profile": .string(profile.rawValue), "slots": .integer(slots), "window": .integer(window),
            ])
        }

        private static func require(_ json: JSONObject, _ key: String, equals expected: JSONValue) throws {
            guard let found = json[key], found != expected,
                found.doubleValue == nil || found.doubleValue != expected.doubleValue
            else {
                return
            }
            throw ModelError.configuration(key: key, expected: expected.summary, found: found.summary)
        }
    }
}
