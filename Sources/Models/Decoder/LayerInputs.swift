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
        let ids = try requireRectangle([tokens], documents: nil)
        let context = try positions.context(offset: 0, count: tokens.count, documents: nil, on: device)
        let run = DecoderRun(ids: ids, context)
        var inputs = [try run.embed(embedding)]
        for block in blocks.dropLast() { inputs.append(try run.through(block, inputs[inputs.count - 1])) }
        return LayerInputs(inputs: inputs, context: context)
    }

    /// The final hidden states (T, D), before the head, where `layer` and those above it are this model's, and what reaches
    /// it is that of another.
    public func hidden(_ below: LayerInputs, from layer: Int) throws -> Tensor {
        let run = DecoderRun(below.context), x = try layers(below.inputs[layer], run, blocks[layer...])
        return try x.normalised(finalNorm).reshaped([x.shape[1], configuration.decoder.hiddenSize])
    }

    /// The parameter `name`.
    public func parameter(_ name: String) throws -> Tensor { try parameters[name] }

    /// This model with another configuration and other `tensors`, of which it needs no others.
    public func replacing(_ configuration: ModelConfiguration, _ tensors: [String: Tensor]) throws -> DecoderModel {
        try DecoderModel(
            configuration, parameters: parameters.replacing(Parameters(tensors).to(device)), rotary: positions.rotary)
    }
}
