extension DecoderConfiguration {
    /// Decodes a Hugging Face config.json, with the defaults of transformers (of flash-linear-attention for "gsa").
    ///
    /// - Parameter file: The name to give in errors.
    /// - Throws: ``CheckpointError/configuration(file:key:expected:found:)`` or
    ///   ``CheckpointError/unsupported(file:what:found:supported:)``.
    public init(json: JSONValue, file: String) throws {
        guard let object = json.objectValue else {
            throw CheckpointError.malformed(
                file: file, part: "the configuration", expected: "a JSON object", found: json.summary)
        }
        let reader = ConfigurationReader(object: object, file: file)
        let type = try reader.string("model_type")
        guard let type, Self.supported.contains(type) else {
            throw CheckpointError.unsupported(
                file: file, what: "model_type", found: type ?? "(none)",
                supported: Self.supported.joined(separator: ", "))
        }
        try Self.refuseUnsupported(reader)

        let keys = type == "gsa" ? Keys.gsa : Keys.llama
        let width = 1...1 << 20
        self.json = object
        modelType = type
        vocabularySize = try reader.integer("vocab_size", in: 1...1 << 24)
        hiddenSize = try reader.integer("hidden_size", in: width)
        layerCount = try reader.integer("num_hidden_layers", in: 1...4096)
        headCount = try reader.integer(keys.heads, in: 1...1 << 16)
        // MistralConfig's default applies to an absent key; null means one per query head.
        let defaultHeads = type == "mistral" && object[keys.keyValueHeads] == nil ? min(8, headCount) : headCount
        keyValueHeadCount = try reader.integer(keys.keyValueHeads, in: 1...1 << 16, default: defaultHeads)
        guard headCount % keyValueHeadCount == 0 else {
            throw CheckpointError.configuration(
                file: file, key: keys.keyValueHeads, expected: "a divisor of \(keys.heads) (\(headCount))",
                found: "\(keyValueHeadCount)")
        }
        if reader.value("head_dim") == nil, hiddenSize % headCount != 0 {
            throw CheckpointError.configuration(
                file: file, key: keys.heads, expected: "a divisor of hidden_size (\(hiddenSize)), or head_dim",
                found: "\(headCount)")
        }
        headDim = try reader.integer("head_dim", in: 1...1 << 14, default: hiddenSize / headCount)
        guard headDim % 2 == 0 || type == "gsa" else {
            throw CheckpointError.configuration(
                file: file, key: "head_dim", expected: "an even number", found: "\(headDim)")
        }
        if type == "gsa", reader.value("intermediate_size") == nil {
            intermediateSize = try Self.gatedWidth(reader, hiddenSize: hiddenSize)
        } else {
            intermediateSize = try reader.integer("intermediate_size", in: 1...1 << 24)
        }
        maximumPositions = try reader.integer(
            "max_position_embeddings", in: 1...1 << 31, default: type == "mistral" ? 131_072 : 2048)
        normEpsilon = Float(try reader.number(keys.epsilon, upTo: 1, default: 1e-6))
        (ropeTheta, ropeScaling) = try Self.rope(reader, maximumPositions: maximumPositions, headDim: headDim)
        slidingWindow = nil
        // A key that other architectures inherit and do not use changes nothing in transformers.
        if type != "llama", reader.value("sliding_window") != nil {
            slidingWindow = try reader.integer("sliding_window", in: 1...1 << 31)
        } else if type == "mistral", object["sliding_window"] == nil {
            slidingWindow = 4096
        }
        tiedEmbeddings = try reader.bool("tie_word_embeddings", default: false)
        attentionBias = try reader.bool("attention_bias", default: false)
        outputBias = try reader.bool("attention_output_bias", default: attentionBias)
        mlpBias = try reader.bool("mlp_bias", default: false)
        bosTokens = try reader.tokens("bos_token_id", below: vocabularySize, default: [1])
        eosTokens = try reader.tokens("eos_token_id", below: vocabularySize, default: [2])
        padToken = try reader.tokens("pad_token_id", below: vocabularySize, default: []).first
    }

    /// The names that differ between families.
    private struct Keys {
        let heads: String, keyValueHeads: String, epsilon: String

        static let llama = Keys(
            heads: "num_attention_heads", keyValueHeads: "num_key_value_heads", epsilon: "rms_norm_eps")
        static let gsa = Keys(heads: "num_heads", keyValueHeads: "num_kv_heads", epsilon: "norm_eps")
    }

    /// Refuses settings that would change the computation and are not implemented.
    private static func refuseUnsupported(_ reader: ConfigurationReader) throws {
        func refuse(_ key: String, _ found: String, _ supported: String) -> CheckpointError {
            .unsupported(file: reader.file, what: key, found: found, supported: supported)
        }
        if let activation = try reader.string("hidden_act"), activation != "silu", activation != "swish" {
            throw refuse("hidden_act", activation, "silu")
        }
        if let quantisation = try reader.nested("quantization_config") {
            let method = try quantisation.string("quant_method") ?? "(no quant_method)"
            guard method == "moult" else {
                throw refuse("quantization_config", method, "moult, plain weights, or GGUF")
            }
            let bits = try quantisation.integer("bits", in: 1...64)
            guard bits == 8 || bits == 4 else { throw refuse("quantization_config.bits", "\(bits)", "8 and 4") }
            let size = try quantisation.integer("group_size", in: 1...1_048_576)
            guard size == 32 else { throw refuse("quantization_config.group_size", "\(size)", "32") }
        }
        if let part = reader.value("partial_rotary_factor")?.doubleValue, part != 1 {
            throw refuse("partial_rotary_factor", "\(part)", "1")
        }
    }

    /// flash-linear-attention's MLP width: 2/3 · hidden_size · hidden_ratio, up to a multiple of 256.
    private static func gatedWidth(_ reader: ConfigurationReader, hiddenSize: Int) throws -> Int {
        let ratio = try reader.number("hidden_ratio", upTo: 64, default: 4)
        return (Int(Double(hiddenSize) * ratio * 2 / 3) + 255) / 256 * 256
    }
}
