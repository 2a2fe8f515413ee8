import Tensors

/// What reaches every layer of a model for some tokens, so that models that differ from it in a layer need not compute the
/// layers below that again.
public struct LayerInputs: Sendable {
    /// (1, T, D) for each layer.
    fileprivate let inputs: [Tensor]
    fileprivate let context: MixerContext
}

extension DecoderModel {
    /// Runs the model over `tokens`, one document.
    public func layerInputs(_ tokens: [Int32]) throws -> LayerInputs {
        var (x, context) = try embed(requireRectangle([tokens], documents: nil), position: 0, documents: nil)
        var inputs: [Tensor] = []
        for (layer, block) in blocks.enumerated() {
            inputs.append(x)
            if layer < blocks.count - 1 { x = try block(x, state: nil, context: context) }
        }
        return LayerInputs(inputs: inputs, context: context)
    }

    /// The final hidden states (T, D), before the head, where `layer` and those above it are this model's, and what reaches
    /// it is that of another.
    public func hidden(_ below: LayerInputs, from layer: Int) throws -> Tensor {
        var x = below.inputs[layer]
        for block in blocks[layer...] { x = try block(x, state: nil, context: below.context) }
        return try x.rmsNorm(weight: finalNorm, epsilon: configuration.decoder.normEpsilon)
            .reshaped([x.shape[1], configuration.decoder.hiddenSize])
    }

    /// The parameter `name`.
    public func parameter(_ name: String) throws -> Tensor { try parameters[name] }

    /// This model with another configuration and other `tensors`, of which it needs no others.
    public func replacing(_ configuration: ModelConfiguration, _ tensors: [String: Tensor]) throws -> DecoderModel {
        try DecoderModel(
            configuration, parameters: parameters.replacing(Parameters(tensors).to(device)), rotary: rotary)
    }
}
