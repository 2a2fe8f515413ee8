import Checkpoints
import Support
import Tensors

/// Gated DeltaNet as published (Yang et al. 2025, arXiv 2412.06464), by ``PublishedDelta`` with one decay a head; a norm of each head and
/// a gate follow.
struct GatedDeltaNetLayer: PublishedLayer {
    static let modelType = "gated_deltanet"
    static let title = "Gated DeltaNet, flash-linear-attention's layer (arXiv 2412.06464)"

    struct Options: PublishedOptions {
        let delta: PublishedDelta.Options
        /// What the output's gate goes through; nil without one.
        let gate: Gate?

        enum Gate: String, Sendable { case silu, swish, sigmoid }

        init(_ file: MixerOptionsReader) throws {
            delta = try PublishedDelta.Options(file, heads: 6, dim: 256, factor: 2)
            try file.requireOne("output_gate_activation", ["swish", "silu", "sigmoid"])
            let name = file.json["output_gate_activation"]?.stringValue.flatMap(Gate.init) ?? .swish
            gate = try file.flag("use_gate") ?? true ? name : nil
        }
    }

    private let delta: PublishedDelta
    private let decay: Linear
    private let gate: [Linear]
    private let norm: OutputNorm
    let outputMap: Linear

    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule] {
        PublishedDelta.rules(place, options.delta, channels: 1) + [place.map("a_proj", options.delta.valueHeads)]
            + (options.gate == nil ? [] : [place.map("g_proj", options.delta.values)])
    }

    static func state(_ options: Options) -> [StateTensor] { PublishedDelta.state(options.delta) }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        let prefix = place.prefix, isSigmoid = options.gate == .sigmoid
        delta = try PublishedDelta(place, options.delta, parameters: parameters)
        decay = try parameters.linear("\(prefix).a_proj")
        gate = options.gate == nil ? [] : [try parameters.linear("\(prefix).g_proj")]
        norm = OutputNorm(
            weight: try parameters["\(prefix).o_norm.weight"], epsilon: options.delta.epsilon,
            gate: { isSigmoid ? .sigmoid($0) : .silu($0) })
        outputMap = try parameters.linear("\(prefix).o_proj")
    }

    var inputMaps: [Linear] { delta.inputMaps + [decay] + gate }

    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor {
        let decays = try delta.logDecays(input.maps[4], input) { x, rate, shift in
            -(.exp(rate) * .softplus(x + shift))
        }
        let read = try delta.read(input, logDecays: decays, &state)
        return try norm(read, gate: input.maps.count > 5 ? input.maps[5] : nil)
    }
}
