import Foundation

extension DecoderConfiguration {
    private static let factors = 1e6

    /// RoPE's base and scaling: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`. Defaults are those
    /// of `modeling_rope_utils` of transformers.
    static func rope(
        _ reader: ConfigurationReader, maximumPositions: Int, headDim: Int
    ) throws -> (theta: Double, scaling: RopeScaling?) {
        let limit = 1e12
        let parameters = try reader.nested("rope_parameters")
        var theta = try reader.number("rope_theta", upTo: limit, default: 10_000)
        if let parameters { theta = try parameters.number("rope_theta", upTo: limit, default: theta) }
        guard let scaling = try parameters ?? reader.nested("rope_scaling") else { return (theta, nil) }
        if let part = scaling.value("partial_rotary_factor")?.doubleValue, part != 1 {
            throw CheckpointError.unsupported(
                file: reader.file, what: "partial_rotary_factor", found: "\(part)", supported: "1")
        }
        let type = try scaling.string("rope_type") ?? scaling.string("type") ?? "default"
        func original() throws -> Int {
            // Of both places the outer one counts.
            let place = reader.value("original_max_position_embeddings") == nil ? scaling : reader
            return try place.integer("original_max_position_embeddings", in: 1...1 << 31, default: maximumPositions)
        }
        switch type {
        case "default": return (theta, nil)
        case "linear": return (theta, .linear(factor: try scaling.number("factor", upTo: factors)))
        case "dynamic":
            let factor = try scaling.number("factor", upTo: factors)
            return (theta, .dynamic(factor: factor, maximumPositions: maximumPositions))
        case "llama3": return (theta, try llama3(scaling, original()))
        case "yarn": return (theta, try yarn(scaling, theta, original(), maximumPositions))
        case "longrope", "su":
            return (theta, try longRope(scaling, original(), maximumPositions, count: headDim / 2))
        default:
            throw CheckpointError.unsupported(
                file: reader.file, what: "RoPE scaling", found: type,
                supported: "default, linear, dynamic, llama3, yarn, longrope")
        }
    }

    private static func llama3(_ scaling: ConfigurationReader, _ original: Int) throws -> RopeScaling {
        let low = try scaling.number("low_freq_factor", upTo: factors)
        let high = try scaling.number("high_freq_factor", upTo: factors)
        guard low < high else { throw scaling.wrong("high_freq_factor", "more than low_freq_factor (\(low))") }
        return .llama3(
            factor: try scaling.number("factor", upTo: factors), lowFrequencyFactor: low, highFrequencyFactor: high,
            originalMaximumPositions: original)
    }

    private static func yarn(
        _ scaling: ConfigurationReader, _ theta: Double, _ original: Int, _ maximumPositions: Int
    ) throws -> RopeScaling {
        guard theta > 1 else { throw scaling.wrong("rope_theta", "more than 1 for yarn") }
        let factor = try scaling.number(
            "factor", upTo: factors, default: Double(maximumPositions) / Double(original))
        func logarithm(_ scale: Double = 1) -> Double { factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1 }
        var attention = logarithm()
        // 0 counts as absent in transformers.
        if let scale = scaling.value("mscale")?.doubleValue, let all = scaling.value("mscale_all_dim")?.doubleValue,
            scale != 0, all != 0
        {
            attention = logarithm(scale) / logarithm(all)
        }
        return .yarn(
            factor: factor,
            attentionFactor: try scaling.number(
                "attention_factor", upTo: factors, default: attention > 0 && attention.isFinite ? attention : 1),
            betaFast: try scaling.number("beta_fast", upTo: factors, default: 32),
            betaSlow: try scaling.number("beta_slow", upTo: factors, default: 1),
            originalMaximumPositions: original, truncates: try scaling.bool("truncate", default: true))
    }

    private static func longRope(
        _ scaling: ConfigurationReader, _ original: Int, _ maximumPositions: Int, count: Int
    ) throws -> RopeScaling {
        func list(_ key: String) throws -> [Double] {
            let found = scaling.value(key)?.arrayValue?.compactMap(\.doubleValue).filter { $0 > 0 && $0 <= factors }
            guard let found, found.count == count else {
                throw scaling.wrong(key, "\(count) numbers above 0, one for each pair of dimensions of a head")
            }
            return found
        }
        let factor = try scaling.number(
            "factor", upTo: factors, default: Double(maximumPositions) / Double(original))
        // With an original length of 1 there is no such number.
        let grown = factor <= 1 || original == 1 ? 1 : (1 + log(factor) / log(Double(original))).squareRoot()
        return .longRope(
            short: try list("short_factor"), long: try list("long_factor"),
            attentionFactor: try scaling.number("attention_factor", upTo: factors, default: grown),
            originalMaximumPositions: original)
    }
}
