import Support

extension RopeScaling {
    /// As Hugging Face's `rope_scaling`.
    public var json: JSONValue {
        switch self {
        case .linear(let factor):
            .object(["rope_type": .string("linear"), "factor": .number(factor)])
        case .llama3(let factor, let low, let high, let positions):
            .object([
                "rope_type": .string("llama3"), "factor": .number(factor), "low_freq_factor": .number(low),
                "high_freq_factor": .number(high), "original_max_position_embeddings": .integer(positions),
            ])
        case .yarn(let factor, let attention, let fast, let slow, let positions, let truncates):
            .object([
                "rope_type": .string("yarn"), "factor": .number(factor), "attention_factor": .number(attention),
                "beta_fast": .number(fast), "beta_slow": .number(slow), "truncate": .bool(truncates),
                "original_max_position_embeddings": .integer(positions),
            ])
        case .dynamic(let factor, _):
            .object(["rope_type": .string("dynamic"), "factor": .number(factor)])
        case .longRope(let short, let long, let attention, let positions):
            .object([
                "rope_type": .string("longrope"), "attention_factor": .number(attention),
                "short_factor": .array(short.map { .number($0) }), "long_factor": .array(long.map { .number($0) }),
                "original_max_position_embeddings": .integer(positions),
            ])
        }
    }
}
