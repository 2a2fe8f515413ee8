import Foundation

extension ConfigurationReader {
    private static let factors = 1e6

    /// RoPE's base and scaling: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`. Defaults are those
    /// of `modeling_rope_utils` of transformers.
    /// - Parameters:
    ///   - rotaryDim: dimensions of a head that turn.
    ///   - kind: of layers, where `rope_parameters` has an object for each kind, such as "full_attention".
    ///   - fallback: the base of models that do not say it.
    public func rope(
        maximumPositions: Int, rotaryDim: Int, of kind: String? = nil, theta fallback: Double = 10_000
    ) throws -> DecoderConfiguration.Rope {
        let limit = 1e12
        var parameters = try nested("rope_parameters")
        if let kind, let own = try parameters?.nested(kind) { parameters = own }
        var theta = try number("rope_theta", upTo: limit, default: fallback)
        if let parameters { theta = try parameters.number("rope_theta", upTo: limit, default: theta) }
        guard let scaling = try parameters ?? nested("rope_scaling") else { return .init(theta: theta) }
        let type = try scaling.string("rope_type") ?? scaling.string("type") ?? "default"
        func original() throws -> Int {
            // Of both places the outer one counts.
            let place = value("original_max_position_embeddings") == nil ? scaling : self
            return try place.integer("original_max_position_embeddings", in: 1...1 << 31, default: maximumPositions)
        }
        let known: RopeScaling?
        switch type {
        case "default": known = nil
        case "linear": known = .linear(factor: try scaling.number("factor", upTo: Self.factors))
        case "dynamic":
            let factor = try scaling.number("factor", upTo: Self.factors)
            known = .dynamic(factor: factor, maximumPositions: maximumPositions)
        case "llama3": known = try Self.llama3(scaling, original())
        case "yarn": known = try Self.yarn(scaling, theta, original(), maximumPositions)
        case "longrope", "su":
            known = try Self.longRope(scaling, original(), maximumPositions, count: rotaryDim / 2)
        default:
            throw CheckpointError.unsupported(
                file: file, what: "RoPE scaling", found: type,
                supported: "default, linear, dynamic, llama3, yarn, longrope")
        }
        return .init(theta: theta, scaling: known)
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
