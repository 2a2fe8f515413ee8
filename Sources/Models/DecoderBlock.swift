import Tensors

/// A pre-norm block: x + mixer(norm(x)), then + mlp(norm(·)).
struct DecoderBlock: Sendable {
    let mixerNorm: Tensor
    let mixer: any TokenMixer
    let mlpNorm: Tensor
    let mlp: MLP
    let epsilon: Float

    init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        let names = configuration.names
        mixerNorm = try parameters[names.mixerNorm(layer)]
        mixer = try MixerRegistry.mixer(named: configuration.mixers[layer])
            .init(configuration, layer: layer, parameters: parameters)
        mlpNorm = try parameters[names.mlpNorm(layer)]
        mlp = try MLP(configuration, layer: layer, parameters: parameters)
        epsilon = configuration.decoder.normEpsilon
    }

    func callAsFunction(_ x: Tensor, state: MixerState?, context: MixerContext) throws -> Tensor {
        let mixed = try mixer(x.rmsNorm(weight: mixerNorm, epsilon: epsilon), state: state, context: context)
        return try completing(x, mixed: mixed)
    }

    /// What follows the mixer: its output `mixed` is added to the block's input x, then the MLP's.
    func completing(_ x: Tensor, mixed: Tensor) throws -> Tensor {
        let residual = try x.adding(mixed)
        return try residual.adding(mlp(residual.rmsNorm(weight: mlpNorm, epsilon: epsilon)))
    }
}

extension DecoderBlock {
    /// Records the block's part of a step: `residual` (rows, D) goes in and comes out.
    /// - Returns: what binds the mixer's state of a row.
    func record(
        _ step: RecordedStep, residual: RecordedStep.Rows, angles: StepAngles
    ) throws -> StateBinding {
        let input = try step.norm(
            residual, Normalisation(.rms, weight: mixerNorm, epsilon: epsilon), readers: mixer.inputWeights)
        let binding = try mixer.record(step, input: input, residual: residual, angles: angles)
        let normed = try step.norm(
            residual, Normalisation(.rms, weight: mlpNorm, epsilon: epsilon),
            readers: [mlp.gate.weight, mlp.up.weight])
        let inner = try step.gatedLinear(
            normed, gate: (mlp.gate.weight, mlp.gate.bias), up: (mlp.up.weight, mlp.up.bias),
            readers: [mlp.down.weight])
        try step.linear(inner, mlp.down, addedTo: residual)
        return binding
    }
}

/// The gated feed-forward network: down(silu(gate(x)) · up(x)) (Shazeer 2020, arXiv 2002.05202).
struct MLP: Sendable {
    let gate: Linear
    let up: Linear
    let down: Linear

    static func rules(_ configuration: ModelConfiguration, layer: Int) -> [ParameterRule] {
        let decoder = configuration.decoder
        let (prefix, source) = (configuration.names.mlp(layer), ParameterNames.huggingFace.mlp(layer))
        let (wide, narrow) = (decoder.intermediateSize, decoder.hiddenSize)
        var rules: [ParameterRule] = []
        for (name, shape) in [
            ("gate_proj", [wide, narrow]), ("up_proj", [wide, narrow]), ("down_proj", [narrow, wide]),
        ] {
            rules.append(.reused("\(prefix).\(name).weight", from: "\(source).\(name).weight", shape: shape))
            if decoder.mlpBias {
                rules.append(.reused("\(prefix).\(name).bias", from: "\(source).\(name).bias", shape: [shape[0]]))
            }
        }
        return rules
    }

    init(_ configuration: ModelConfiguration, layer: Int, parameters: Parameters) throws {
        let prefix = configuration.names.mlp(layer)
        let hasBias = configuration.decoder.mlpBias
        gate = try parameters.linear("\(prefix).gate_proj", hasBias: hasBias)
        up = try parameters.linear("\(prefix).up_proj", hasBias: hasBias)
        down = try parameters.linear("\(prefix).down_proj", hasBias: hasBias)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor {
        let inner = try x.linear([gate, up])
        return try down(Tensor.gated(.silu, gate: inner[0], up: inner[1]))
    }
}
