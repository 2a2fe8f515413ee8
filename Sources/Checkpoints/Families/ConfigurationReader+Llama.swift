import Support
import Tensors

/// What the configurations of nearly all families have alike.
extension ConfigurationReader {
    /// The names that differ.
    public struct Keys: Sendable {
        /// D.
        public var hiddenSize = "hidden_size"
        /// L.
        public var layers = "num_hidden_layers"
        /// H.
        public var heads = "num_attention_heads"
        /// N.
        public var keyValueHeads = "num_key_value_heads"
        /// F.
        public var intermediateSize = "intermediate_size"
        /// The longest context.
        public var positions = "max_position_embeddings"
        /// What norms add.
        public var epsilon = "rms_norm_eps"
        /// What the MLP does between its products.
        public var activation = "hidden_act"

        /// Llama's.
        public init() {}

        /// Llama's, with these differences.
        public init(_ change: (inout Keys) -> Void) { change(&self) }
    }

    /// What stands for absent keys.
    public struct Defaults: Sendable {
        /// Key/value heads where the key is absent; nil for one for each query head, as for null.
        public var keyValueHeads: Int?
        /// K where the key is absent; nil for D/H.
        public var headDim: Int?
        /// The MLP's width as a multiple of D; nil where it has to be said.
        public var widthRatio: Int?
        /// The longest context.
        public var positions = 2048
        /// What norms add.
        public var epsilon = 1e-6
        /// The base of rotary positions.
        public var theta = 10_000.0
        /// Whether the head is the embedding.
        public var isTied = false
        /// What the MLP does between its products.
        public var activation = Activation.silu
        /// Ids that texts begin with.
        public var bos = [1]
        /// Ids that end texts.
        public var eos = [2]

        /// Llama's.
        public init() {}

        /// Llama's, with these differences.
        public init(_ change: (inout Defaults) -> Void) { change(&self) }
    }

    /// Reads sizes, rotary positions, biases and special tokens.
    /// - Parameters:
    ///   - rotaryFactor: the share of a head's dimensions that turn.
    ///   - rotaryDim: how many they are, instead.
    public func decoder(
        keys: Keys = Keys(), defaults: Defaults = Defaults(), rotaryFactor: Double = 1, rotaryDim: Int? = nil
    ) throws -> DecoderConfiguration {
        try refuseQuantisation()
        let hiddenSize = try integer(keys.hiddenSize, in: 1...1 << 20)
        let heads = try integer(keys.heads, in: 1...1 << 16)
        // A default applies to an absent key; null means one per query head.
        let absent = object[keys.keyValueHeads] == nil ? defaults.keyValueHeads.map { min($0, heads) } : nil
        let keyValueHeads = try integer(keys.keyValueHeads, in: 1...1 << 16, default: absent ?? heads)
        guard heads % keyValueHeads == 0 else {
            throw CheckpointError.configuration(
                file: file, key: prefix + keys.keyValueHeads, expected: "a divisor of \(keys.heads) (\(heads))",
                found: "\(keyValueHeads)")
        }
        if value("head_dim") == nil, defaults.headDim == nil, hiddenSize % heads != 0 {
            throw CheckpointError.configuration(
                file: file, key: prefix + keys.heads, expected: "a divisor of hidden_size (\(hiddenSize)), or head_dim",
                found: "\(heads)")
        }
        let headDim = try integer("head_dim", in: 1...1 << 14, default: defaults.headDim ?? hiddenSize / heads)
        let width = defaults.widthRatio.map { $0 * hiddenSize }
        let positions = try integer(keys.positions, in: 1...1 << 31, default: defaults.positions)
        var decoder = DecoderConfiguration(
            modelType: try string("model_type") ?? "", vocabularySize: try integer("vocab_size", in: 1...1 << 24),
            hiddenSize: hiddenSize, layerCount: try integer(keys.layers, in: 1...4096), headCount: heads,
            keyValueHeadCount: keyValueHeads, headDim: headDim,
            intermediateSize: try integer(keys.intermediateSize, in: 1...1 << 24, default: width),
            maximumPositions: positions,
            normEpsilon: Float(try number(keys.epsilon, upTo: 1, default: defaults.epsilon)),
            json: object)
        let turning = rotaryDim ?? Int(Double(headDim) * rotaryFactor)
        if turning != headDim {
            guard turning >= 2, turning % 2 == 0, turning < headDim else {
                throw wrong(
                    "partial_rotary_factor", "a share of the \(headDim) dimensions of a head that is an even number")
            }
            decoder.rotaryDim = turning
        }
        let rope = try rope(maximumPositions: positions, rotaryDim: decoder.rotaryDim ?? headDim, theta: defaults.theta)
        (decoder.ropeTheta, decoder.ropeScaling) = (rope.theta, rope.scaling)
        decoder.activation = try activation(keys.activation, default: defaults.activation)
        decoder.tiedEmbeddings = try bool("tie_word_embeddings", default: defaults.isTied)
        decoder.attentionBias = try bool("attention_bias", default: false)
        decoder.outputBias = try bool("attention_output_bias", default: decoder.attentionBias)
        decoder.mlpBias = try bool("mlp_bias", default: false)
        decoder.bosTokens = try tokens("bos_token_id", below: decoder.vocabularySize, default: defaults.bos)
        decoder.eosTokens = try tokens("eos_token_id", below: decoder.vocabularySize, default: defaults.eos)
        decoder.padToken = try tokens("pad_token_id", below: decoder.vocabularySize, default: []).first
        return decoder
    }

    /// The share of a head's dimensions that turn, as transformers 4 or 5 has it.
    public func rotaryFactor(_ key: String = "partial_rotary_factor", default fallback: Double = 1) throws -> Double {
        let parameters = try nested("rope_parameters"), name = "partial_rotary_factor"
        if let parameters, parameters.value(name) != nil { return try parameters.number(name, upTo: 1) }
        return try number(key, upTo: 1, default: fallback)
    }

    /// - Throws: ``CheckpointError`` where an odd number of dimensions would have to turn.
    public func requireEvenHeads(_ decoder: DecoderConfiguration) throws {
        guard decoder.headDim % 2 == 0 else {
            throw CheckpointError.configuration(
                file: file, key: prefix + "head_dim", expected: "an even number", found: "\(decoder.headDim)")
        }
    }

    /// - Throws: ``CheckpointError`` where `key` has another value than `expected`, which alone is understood.
    public func require(_ key: String, _ expected: JSONValue) throws {
        guard let found = value(key), found != expected,
            found.doubleValue == nil || found.doubleValue != expected.doubleValue
        else { return }
        throw CheckpointError.unsupported(
            file: file, what: prefix + key, found: found.summary, supported: expected.summary)
    }

    /// Refuses weights that other programs have rounded, which are not understood.
    private func refuseQuantisation() throws {
        guard let quantisation = try nested("quantization_config") else { return }
        func refuse(_ key: String, _ found: String, _ supported: String) -> CheckpointError {
            .unsupported(file: file, what: key, found: found, supported: supported)
        }
        let method = try quantisation.string("quant_method") ?? "(no quant_method)"
        guard method == "moult" else {
            throw refuse("quantization_config", method, "moult, plain weights, or GGUF")
        }
        let bits = try quantisation.integer("bits", in: 1...64)
        guard bits == 8 || bits == 4 else { throw refuse("quantization_config.bits", "\(bits)", "8 and 4") }
        let size = try quantisation.integer("group_size", in: 1...1_048_576)
        guard size == 32 else { throw refuse("quantization_config.group_size", "\(size)", "32") }
    }
}
