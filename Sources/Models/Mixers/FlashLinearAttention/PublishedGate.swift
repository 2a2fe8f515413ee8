import Tensors

/// The gate of retention's and of gated linear attention's outputs: a file says whether there is one, and calls the norm
/// before it otherwise then.
struct PublishedGate: Sendable {
    private let isThere: Bool
    private let isFused: Bool

    init(_ file: MixerOptionsReader) throws {
        isThere = try file.flag("use_output_gate") ?? true
        isFused = try file.flag("fuse_norm") ?? true
    }

    private var normName: String { isThere && isFused ? "g_norm_swish_gate" : "g_norm" }

    /// The map to the gate; none without one.
    var maps: [String] { isThere ? ["g_proj"] : [] }

    func rules(_ place: PublishedPlace, values: Int, valueDim: Int) -> [ParameterRule] {
        maps.map { place.map($0, values) }
            + [.new("\(place.prefix).\(normName).weight", shape: [valueDim], .constant(1))]
    }

    func norm(_ prefix: String, epsilon: Float, _ parameters: Parameters) throws -> OutputNorm {
        OutputNorm(weight: try parameters["\(prefix).\(normName).weight"], epsilon: epsilon)
    }
}
