import Checkpoints
import Tensors

/// The feed-forward network: down(act(gate(x)) · up(x)) (Shazeer 2020, arXiv 2002.05202), or without a gate
/// down(act(up(x))).
struct MLP: FeedForward {
    /// Nil without a gate.
    let gate: Linear?
    let up: Linear
    let down: Linear
    let activation: Activation

    static func rules(_ configuration: ModelConfiguration, layer: Int) -> [ParameterRule] {
        let decoder = configuration.decoder
        let (prefix, source) = (configuration.names.mlp(layer), ParameterNames.huggingFace.mlp(layer))
        let (wide, narrow) = (decoder.intermediateSize, decoder.hiddenSize)
        var rules: [ParameterRule] = []
        for (name, shape) in [
            ("gate_proj", [wide, narrow]), ("up_proj", [wide, narrow]), ("down_proj", [narrow, wide]),
        ] where decoder.isGated || name != "gate_proj" {
            rules.append(.reused("\(prefix).\(name).weight", from: "\(source).\(name).weight", shape: shape))
            if decoder.mlpBias {
                rules.append(.reused("\(prefix).\(name).bias", from: "\(source).\(name).bias", shape: [shape[0]]))
            }
        }
        return rules
    }

    init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        let (decoder, prefix) = (configuration.decoder, configuration.names.mlp(layer))
        func map(_ name: String) throws -> Linear {
            try parameters.linear("\(prefix).\(name)", hasBias: decoder.mlpBias)
        }
        gate = decoder.isGated ? try map("gate_proj") : nil
        (up, down, activation) = (try map("up_proj"), try map("down_proj"), decoder.activation)
    }

    func callAsFunction(_ input: NormedInput, _ context: MixerContext) throws -> BlockOutput {
        .product(try input.expanded(activation, gate: gate, up: up, context), down)
    }
}
