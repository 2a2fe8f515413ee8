import Checkpoints
import Tensors

/// Experts: Σ w_e · down_e(act(gate_e(x)) · up_e(x)) over those that a token takes by the logits router(x) (Shazeer et al. 2017,
/// arXiv 1701.06538; with weights that are the softmax's, Fedus et al. 2021, arXiv 2101.03961).
struct ExpertMLP: FeedForward {
    let experts: Experts
    /// (E, D).
    let router: Tensor
    /// The maps that read the input, by expert, and those that give the outputs.
    private let inputMaps: [Linear], outputMaps: [Linear]

    static func rules(
        _ configuration: ModelConfiguration, _ mixture: ExpertMixture, layer: Int
    ) throws -> [ParameterRule] {
        let (names, source, decoder) = (configuration.names, ParameterNames.huggingFace, configuration.decoder)
        guard decoder.normPlacement == .before, decoder.isGated else {
            throw ModelError.configuration(
                key: "moult.decoder.experts", expected: "experts with a gate, and no norm of what they give",
                found: decoder.isGated ? "norms \(decoder.normPlacement.rawValue) them" : "experts without a gate")
        }
        let (wide, narrow) = (mixture.width, decoder.hiddenSize)
        func rule(_ name: String, from source: String, _ shape: [Int], isWide: Bool = false) -> ParameterRule {
            .reused("\(name).weight", from: "\(source).weight", shape: shape, isWide: isWide)
        }
        // Rounded inputs, as products of bfloat16 have them, would take other experts where two are nearly alike.
        return [rule(names.router(layer), from: source.router(layer), [mixture.count, narrow], isWide: true)]
            + (0..<mixture.count).flatMap { number in
                let (prefix, source) = (names.expert(layer, number), source.expert(layer, number))
                return [
                    rule("\(prefix).gate_proj", from: "\(source).gate_proj", [wide, narrow]),
                    rule("\(prefix).up_proj", from: "\(source).up_proj", [wide, narrow]),
                    rule("\(prefix).down_proj", from: "\(source).down_proj", [narrow, wide]),
                ]
            }
    }

    init(
        _ configuration: ModelConfiguration, _ mixture: ExpertMixture, layer: Int, parameters: Parameters
    ) throws {
        let names = configuration.names
        func maps(_ name: String) throws -> [Linear] {
            try (0..<mixture.count).map {
                let map = try parameters.linear("\(names.expert(layer, $0)).\(name)")
                guard map.adapter == nil else {
                    throw ModelError.input(expected: "experts without adapters", found: "one beside '\(map.name)'")
                }
                return map
            }
        }
        let (gates, ups, downs) = (try maps("gate_proj"), try maps("up_proj"), try maps("down_proj"))
        router = try parameters["\(names.router(layer)).weight"]
        experts = Experts(
            gates.indices.map { .init(gate: gates[$0].weight, up: ups[$0].weight, down: downs[$0].weight) },
            active: mixture.active, isNormalised: mixture.isNormalised, activation: configuration.decoder.activation)
        (inputMaps, outputMaps) = (gates + ups, downs)
    }

    func callAsFunction(_ input: NormedInput, _ context: MixerContext) throws -> BlockOutput {
        let x = try input.tensor(), logits = try x.linear(router)
        guard let inputs = context.linearInputs else { return .rows(try x.experts(experts, router: logits)) }
        // Of all rows, also for maps that few of them reach: those may reach others in another text.
        try inputs.add(x, to: inputMaps)
        return .rows(try x.experts(experts, router: logits) { try inputs.add($1, to: [outputMaps[$0]]) })
    }
}
