import Tensors

/// What training asks of a model beside its predictions.
extension DecoderModel {
    /// Runs the model over token ids (B, T), int32 on its device, and shows what goes into and comes out of every mixer: `visit` gets the layer,
    /// the mixer's normed input and its output, (B, T, D) each, and the context that they share. What follows the last
    /// mixer is not computed.
    public func visitMixers(
        _ ids: Tensor, documents: Documents? = nil,
        _ visit: (_ layer: Int, _ input: Tensor, _ output: Tensor, _ context: MixerContext) throws -> Void
    ) throws {
        var (x, context) = try embed(ids, position: 0, documents: documents)
        for (layer, block) in blocks.enumerated() {
            let input = try x.rmsNorm(weight: block.mixerNorm, epsilon: block.epsilon)
            let mixed = try block.mixer(input, state: nil, context: context)
            try visit(layer, input, mixed, context)
            if layer < blocks.count - 1 { x = try block.completing(x, mixed: mixed) }
        }
    }

    /// The output (B, T, D) of the mixer of `layer` for a normed input x (B, T, D).
    /// - Parameter context: that of this model or of another, whose kept attention may have other positions.
    public func mix(_ x: Tensor, layer: Int, context: MixerContext) throws -> Tensor {
        var context = context
        context.kept = try keptTurns(offset: context.position, count: x.shape[1], documents: context.documents)
        return try blocks[layer].mixer(x, state: nil, context: context)
    }

    /// The language model's head (vocabulary, D).
    public var headWeight: Tensor { head }

    /// Floats that recording one token of one layer keeps for the way back: the inputs of every operation.
    public static func activationFloats(_ configuration: ModelConfiguration) -> Int {
        let decoder = configuration.decoder
        let (query, keyValue) = (decoder.headCount * decoder.headDim, decoder.keyValueHeadCount * decoder.headDim)
        // The residual stream and its norms; rotated projections; what mixers add of their own (gates, and two outputs to
        // mix); the MLP; and a tenth for what the allocator does not use again.
        let kept = 4 * decoder.hiddenSize + 4 * query + 4 * keyValue + 3 * decoder.intermediateSize
        return kept + kept / 10
    }
}

/// Which layers keep nothing for the way back but their input, and are computed again when gradients reach them.
public struct Recomputation {
    let tape: GradientTape
    /// Layers from the first on.
    let layers: Int

    /// Computes the first `layers` layers again on the way back through `tape`.
    public init(_ tape: GradientTape, layers: Int) {
        self.tape = tape
        self.layers = layers
    }
}
