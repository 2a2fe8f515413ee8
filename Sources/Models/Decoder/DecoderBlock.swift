import Checkpoints
import Tensors

/// A layer: x + mixer(norm(x)), then + mlp(norm(·)); norms before, after or both, and of some families the MLP beside the
/// mixer instead of after it.
struct DecoderBlock: Sendable {
    let layer: Int
    let mixer: any TokenMixer
    /// Nil in models whose layers are mixers alone.
    let mlp: (any FeedForward)?
    /// Nil where the configuration has none.
    private let mixerNorm, mlpNorm, mixerOutputNorm, mlpOutputNorm: Normalisation?
    private let isParallel: Bool
    /// What the layer is made of anew whenever a run comes through; nil where its parameters are on the device.
    private let streamed: (configuration: ModelConfiguration, parameters: Parameters)?

    static func rules(_ configuration: ModelConfiguration, layer: Int) throws -> [ParameterRule] {
        let (names, source, decoder) = (configuration.names, ParameterNames.huggingFace, configuration.decoder)
        func norm(_ prefix: String, from source: String) -> [ParameterRule] {
            Normalisation.rules(decoder, prefix, from: source)
        }
        let before = decoder.normPlacement != .after, after = decoder.normPlacement != .before
        var rules: [ParameterRule] = []
        if before { rules += norm(names.mixerNorm(layer), from: source.mixerNorm(layer)) }
        rules += try MixerRegistry.mixer(named: configuration.mixers[layer]).rules(configuration, layer: layer)
        if after { rules += norm(names.mixerOutputNorm(layer), from: source.mixerOutputNorm(layer)) }
        guard decoder.intermediateSize > 0 else { return rules }
        if before { rules += norm(names.mlpNorm(layer), from: source.mlpNorm(layer)) }
        rules += try FeedForwards.rules(configuration, layer: layer)
        if after { rules += norm(names.mlpOutputNorm(layer), from: source.mlpOutputNorm(layer)) }
        return rules
    }

    /// - Parameter isStreamed: whether the layer's parameters lie in the host's memory.
    init(
        _ configuration: ModelConfiguration, layer: Int, parameters: Parameters, isStreamed: Bool = false
    ) throws {
        let (names, decoder) = (configuration.names, configuration.decoder)
        func norm(_ prefix: String, _ isThere: Bool) throws -> Normalisation? {
            isThere ? try parameters.norm(prefix, decoder) : nil
        }
        let before = decoder.normPlacement != .after, after = decoder.normPlacement != .before
        self.layer = layer
        mixerNorm = try norm(names.mixerNorm(layer), before)
        mixer = try MixerRegistry.mixer(named: configuration.mixers[layer])
            .init(configuration, layer: layer, parameters: parameters)
        mixerOutputNorm = try norm(names.mixerOutputNorm(layer), after)
        let hasMLP = decoder.intermediateSize > 0
        mlpNorm = try norm(names.mlpNorm(layer), before && hasMLP)
        mlp = hasMLP ? try FeedForwards.make(configuration, layer: layer, parameters: parameters) : nil
        mlpOutputNorm = try norm(names.mlpOutputNorm(layer), after && hasMLP)
        isParallel = decoder.isParallel
        streamed =
            isStreamed ? (configuration, try parameters.of(Self.rules(configuration, layer: layer))) : nil
    }

    /// The layer with its parameters in `device`'s own memory, to be let go when it is behind: the next one then has the same
    /// memory. The copies are work among the other on the device, and are recorded with it.
    ///
    /// Copies on a stream of their own, a layer ahead, would hide the time that they take: 14.5 GB of a model of 7 billion
    /// parameters at about 50 GB/s are 0.3 s a pass.
    func resident(on device: Device) throws -> DecoderBlock {
        guard let (configuration, parameters) = streamed else { return self }
        return try DecoderBlock(
            configuration, layer: layer, parameters: parameters.to(device) { _ in .device })
    }

    func callAsFunction(_ x: Tensor, _ run: DecoderRun) throws -> Tensor {
        let mixed = try mix(x, run)
        guard let mlp else { return try run.add(mixed, norm: mixerOutputNorm, to: x) }
        func expand(_ x: Tensor) throws -> BlockOutput { try mlp(NormedInput(x, mlpNorm), run.context) }
        if isParallel {
            let expanded = try expand(x)
            return try run.add(expanded, norm: nil, to: run.add(mixed, norm: nil, to: x))
        }
        let residual = try run.add(mixed, norm: mixerOutputNorm, to: x)
        return try run.add(expand(residual), norm: mlpOutputNorm, to: residual)
    }

    /// The mixer's part: what it makes of the layer's input.
    func mix(_ x: Tensor, _ run: DecoderRun) throws -> BlockOutput {
        try run.mix(NormedInput(x, mixerNorm), mixer, layer: layer)
    }
}

extension Normalisation {
    /// The parameters of a norm over rows of `width` elements, of D by default.
    static func rules(
        _ decoder: DecoderConfiguration, _ prefix: String, from source: String, width: Int? = nil
    ) -> [ParameterRule] {
        let shape = [width ?? decoder.hiddenSize]
        let weight = ParameterRule.reused("\(prefix).weight", from: "\(source).weight", shape: shape)
        return decoder.norm == .rms
            ? [weight] : [weight, .reused("\(prefix).bias", from: "\(source).bias", shape: shape)]
    }
}

extension Parameters {
    /// The norm of the decoder's kind whose parameters begin with `prefix`.
    func norm(_ prefix: String, _ decoder: DecoderConfiguration) throws -> Normalisation {
        Normalisation(
            decoder.norm, weight: try self["\(prefix).weight"],
            bias: decoder.norm == .rms ? nil : try self["\(prefix).bias"], epsilon: decoder.normEpsilon)
    }
}
