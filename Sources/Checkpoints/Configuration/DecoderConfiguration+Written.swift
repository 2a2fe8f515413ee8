import Support
import Tensors

/// What a decoder has beyond Llama, as the "decoder" object of Moult's config.json says it. It is the one list of these
/// properties beside the declarations: files, fingerprints and refusals go by it.
extension DecoderConfiguration {
    /// Of each property that is not as Llama has it the name and value; empty for Llama itself.
    public var beyondLlama: JSONObject {
        var json = JSONObject()
        if norm != .rms { json["norm"] = .string(norm.rawValue) }
        if normPlacement != .before { json["norm_placement"] = .string(normPlacement.rawValue) }
        if isParallel { json["parallel_residual"] = true }
        json["query_key_norm"] = queryKeyNorm.map { .string($0.rawValue) }
        if activation != .silu { json["activation"] = .string(activation.rawValue) }
        if !isGated { json["gated_mlp"] = false }
        json["experts"] = experts?.json
        if embeddingScale != 1 { json["embedding_scale"] = Self.decimal(embeddingScale) }
        if hasLearnedPositions { json["learned_positions"] = true }
        json["attention_scale"] = attentionScale.map(Self.decimal)
        json["attention_cap"] = attentionCap.map(Self.decimal)
        json["logit_cap"] = logitCap.map(Self.decimal)
        json["rotary_dim"] = rotaryDim.map { .integer($0) }
        if !globalLayers.isEmpty { json["global_layers"] = Self.list(globalLayers) }
        if let localRope {
            json["local_rope_theta"] = .number(localRope.theta)
            json["local_rope_scaling"] = localRope.scaling?.json
        }
        if !unrotatedLayers.isEmpty { json["unrotated_layers"] = Self.list(unrotatedLayers) }
        return json
    }

    /// Takes over what ``beyondLlama`` has written.
    /// - Throws: ``CheckpointError/configuration(file:key:expected:found:)``.
    mutating func read(_ written: ConfigurationReader) throws {
        func choice<Value: RawRepresentable & CaseIterable>(_ key: String, _ type: Value.Type) throws -> Value?
        where Value.RawValue == String {
            guard let text = try written.string(key) else { return nil }
            guard let value = Value(rawValue: text) else {
                throw written.wrong(key, Value.allCases.map { "'\($0.rawValue)'" }.joined(separator: " or "))
            }
            return value
        }
        func number(_ key: String) throws -> Float? {
            try written.value(key) == nil ? nil : Float(written.number(key, upTo: 1e6))
        }
        norm = try choice("norm", Normalisation.Kind.self) ?? norm
        normPlacement = try choice("norm_placement", NormPlacement.self) ?? normPlacement
        isParallel = try written.bool("parallel_residual", default: false)
        queryKeyNorm = try choice("query_key_norm", QueryKeyNorm.self)
        activation = try choice("activation", Activation.self) ?? activation
        isGated = try written.bool("gated_mlp", default: true)
        experts = try written.nested("experts").map { try ExpertMixture($0, layers: layerCount) }
        embeddingScale = try number("embedding_scale") ?? 1
        hasLearnedPositions = try written.bool("learned_positions", default: false)
        attentionScale = try number("attention_scale")
        attentionCap = try number("attention_cap")
        logitCap = try number("logit_cap")
        if written.value("rotary_dim") != nil {
            rotaryDim = try written.evenInteger("rotary_dim", in: 2...headDim)
        }
        globalLayers = try written.layers("global_layers", below: layerCount)
        unrotatedLayers = try written.layers("unrotated_layers", below: layerCount)
        if written.value("local_rope_theta") != nil {
            var json = JSONObject([("rope_theta", written.value("local_rope_theta") ?? .null)])
            json["rope_scaling"] = written.value("local_rope_scaling")
            let reader = ConfigurationReader(object: json, file: written.file, prefix: written.prefix + "local_")
            localRope = try reader.rope(maximumPositions: maximumPositions, rotaryDim: rotaryDim ?? headDim)
        }
    }

    private static func list(_ layers: Set<Int>) -> JSONValue { .array(layers.sorted().map { .integer($0) }) }

    /// A float32 in its shortest decimal form.
    private static func decimal(_ value: Float) -> JSONValue { .number(Double("\(value)") ?? Double(value)) }
}
