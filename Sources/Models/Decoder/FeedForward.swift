import Checkpoints
import Tensors

/// What stands in a layer behind its mixer, and reads every token by itself: an ``MLP``, or experts of which a token takes some.
protocol FeedForward: Sendable {
    /// What it makes of the rows, (B, T, D).
    func callAsFunction(_ input: NormedInput, _ context: MixerContext) throws -> BlockOutput
}

/// Which one a layer has.
enum FeedForwards {
    static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        try configuration.decoder.experts(layer).map { try ExpertMLP.rules(configuration, $0, layer: layer) }
            ?? MLP.rules(configuration, layer: layer)
    }

    static func make(
        _ configuration: ModelConfiguration, layer: Int, parameters: Parameters
    ) throws -> any FeedForward {
        try configuration.decoder.experts(layer).map {
            try ExpertMLP(configuration, $0, layer: layer, parameters: parameters)
        } ?? MLP(configuration, layer: layer, parameters: parameters)
    }
}
