import Support

/// The keys of a GGUF file's architecture, under their names without it.
public struct GGUFKeys: Sendable {
    let metadata: GGUFMetadata
    /// `general.architecture`.
    let architecture: String

    /// The whole name of `key`.
    public func name(_ key: String) -> String { "\(architecture).\(key)" }

    /// An integer; nil when the file does not say it.
    public func integer(_ key: String) throws -> JSONValue? {
        try metadata.integer(name(key)).map { .integer($0) }
    }

    /// A number, of a float32 in its shortest form; nil when the file does not say it.
    public func number(_ key: String) throws -> JSONValue? {
        try metadata.number(name(key)).map { .number(Double(Float($0).description) ?? $0) }
    }

    /// Experts of a layer, 0 of a dense model.
    func expertCount() throws -> Int { try metadata.integer(name("expert_count")) ?? 0 }

    /// A boolean; nil when the file does not say it.
    public func bool(_ key: String) throws -> JSONValue? { try metadata.bool(name(key)).map { .bool($0) } }

    /// Sets which layers have a sliding window, where the file says it: by a period or a flag for each layer.
    public func setLocalLayers(_ json: inout JSONObject) throws {
        let key = name("attention.sliding_window_pattern")
        guard case .array(let array)? = metadata[key] else {
            json["sliding_window_pattern"] = try metadata.integer(key).map { .integer($0) }
            return
        }
        let flags = try array.map { value -> Bool? in if case .bool(let flag) = value { flag } else { nil } }
        json["layer_types"] = flags.map { flags in
            .array(flags.map { .string($0 ? "sliding_attention" : "full_attention") })
        }
    }

    /// Sets the share of a head's dimensions that turn, where they are not all.
    public func setRotaryFactor(_ json: inout JSONObject, as key: String = "partial_rotary_factor") throws {
        guard let turning = try metadata.integer(name("rope.dimension_count")), let dim = try headDim(json) else {
            return
        }
        json[key] = .number(Double(turning) / Double(dim))
    }

    /// Dimensions of a head, of a configuration that has the sizes already.
    func headDim(_ json: JSONObject) throws -> Int? {
        let heads = json["num_attention_heads"]?.integerValue ?? 0
        let dim =
            json["head_dim"]?.integerValue
            ?? (heads > 0 ? json["hidden_size"]?.integerValue.map { $0 / heads } : nil)
        return dim.flatMap { $0 > 0 ? $0 : nil }
    }
}
