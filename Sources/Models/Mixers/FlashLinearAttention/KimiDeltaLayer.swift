import Checkpoints
import Support
import Tensors

/// Kimi Delta Attention as published (Kimi Team 2025, arXiv 2510.26692), by ``PublishedDelta`` with a decay for each channel of the keys,
/// by a map of rank V; a norm of each head and a gate, by another such map, follow. Decays may have a bound c instead of a free
/// rate: g = c · sigmoid(exp(A) · (f(x) + b)).
struct KimiDeltaLayer: PublishedLayer {
    static let modelType = "kda"
    static let title = "Kimi Delta Attention, flash-linear-attention's layer (arXiv 2510.26692)"

    struct Options: PublishedOptions {
        let delta: PublishedDelta.Options
        /// c; nil without a bound.
        let least: Float?

        init(_ file: MixerOptionsReader) throws {
            delta = try PublishedDelta.Options(file, heads: 16, dim: 128, factor: 1)
            least = try file.number("lower_bound", in: -1e6...0).map { Float($0) }
            guard try (file.flag("safe_gate") ?? false) == (least != nil) else {
                throw file.refusal(
                    "safe_gate", expected: least == nil ? "false without lower_bound" : "true with lower_bound",
                    found: file.json["safe_gate"] ?? .null)
            }
        }
    }

    private let delta: PublishedDelta
    private let least: Float?
    /// The maps of low rank, to decays and to the output's gate.
    private let decay, gate: (narrow: Linear, wide: Linear)
    private let norm: OutputNorm
    let outputMap: Linear

    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule] {
        let delta = options.delta, rank = delta.valueDim, channels = delta.valueHeads * delta.keyDim
        return PublishedDelta.rules(place, delta, channels: delta.keyDim) + [
            place.map("f_proj.0", rank), place.map("f_proj.1", channels, inputs: rank),
            place.map("g_proj.0", rank), place.map("g_proj.1", delta.values, inputs: rank),
            place.stored("g_proj.1.bias", delta.values),
        ]
    }

    static func state(_ options: Options) -> [StateTensor] { PublishedDelta.state(options.delta) }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        let prefix = place.prefix
        func maps(_ name: String, hasBias: Bool) throws -> (narrow: Linear, wide: Linear) {
            (
                try parameters.linear("\(prefix).\(name).0"),
                try parameters.linear("\(prefix).\(name).1", hasBias: hasBias)
            )
        }
        delta = try PublishedDelta(place, options.delta, parameters: parameters)
        (decay, gate) = (try maps("f_proj", hasBias: false), try maps("g_proj", hasBias: true))
        norm = OutputNorm(
            weight: try parameters["\(prefix).o_norm.weight"], epsilon: options.delta.epsilon,
            gate: { .sigmoid($0) })
        outputMap = try parameters.linear("\(prefix).o_proj")
        least = options.least
    }

    var inputMaps: [Linear] { delta.inputMaps + [decay.narrow, gate.narrow] }

    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor {
        let decays = try delta.logDecays(input.linear(input.maps[4], decay.wide), input) { x, rate, shift in
            guard let least else { return -(.exp(rate) * .softplus(x + shift)) }
            return .sigmoid(.exp(rate) * (x + shift)) * least
        }
        let read = try delta.read(input, logDecays: decays, &state)
        return try norm(read, gate: input.linear(input.maps[5], gate.wide))
    }
}
