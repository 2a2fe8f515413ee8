import Tensors

/// What training asks of a model beside its predictions.
extension DecoderModel {
    /// Runs the model over token ids (B, T), int32 on its device, and shows what goes into and comes out of every mixer: `visit` gets the layer,
    /// the mixer's normed input and its output, (B, T, D) each, and the context that they share. What follows the last
    /// mixer is not computed.
    public func visitMixers(
        _ ids: Tensor, documents: Documents? = nil,
        _ visit: @escaping (_ layer: Int, _ input: Tensor, _ output: Tensor, _ context: MixerContext) throws -> Void
    ) throws {
        let context = try positions.context(offset: 0, count: ids.shape[1], documents: documents, on: device)
        var run = DecoderRun(ids: ids, context)
        run.visit = { try visit($0, $1, $2, context) }
        let last = try layers(run.embed(embedding), run, blocks.dropLast())
        _ = try blocks.last?.resident(on: device).mix(last, run)
    }

    /// The output (B, T, D) of the mixer of `layer` for a normed input x (B, T, D).
    /// - Parameter context: that of this model or of another, whose kept attention may have other positions.
    public func mix(_ x: Tensor, layer: Int, context: MixerContext) throws -> Tensor {
        var context = context
        let length = x.shape[1]
        for (kind, rotary) in positions.rotary.kinds.enumerated() {
            context.turns[kind].kept = try positions.kept?.turns(
                rotary, offset: context.position, count: length, documents: context.documents, on: device)
        }
        let mixer = blocks[layer].mixer
        return try mixer(NormedInput(x), state: nil, context: context).linear([mixer.outputMap], context)[0]
    }

    /// The language model's head (vocabulary, D).
    public var headWeight: Tensor { head }
    /// c of c · tanh(logit / c), which bounds its logits; nil for none.
    public var logitCap: Float? { configuration.decoder.logitCap }

    /// Floats that recording one token of one layer keeps for the way back: the inputs of every operation.
    public static func activationFloats(_ configuration: ModelConfiguration) throws -> Int {
        let decoder = configuration.decoder
        let (query, keyValue) = (decoder.headCount * decoder.headDim, decoder.keyValueHeadCount * decoder.headDim)
        // The residual stream and its norms; rotated projections; what all mixers add (gates, and two outputs to mix), and the
        // one that keeps the most; and the MLP, or of experts only the router, as they are computed again.
        let isDense = decoder.expertLayers.count < decoder.layerCount
        let expanded = max(isDense ? 3 * decoder.intermediateSize : 0, 2 * (decoder.experts?.count ?? 0))
        var kept = 4 * decoder.hiddenSize + 4 * query + 4 * keyValue + expanded
        // Heads that are taken apart and joined.
        if try !configuration.attention.heads.isEmpty { kept += query + 2 * keyValue }
        if decoder.normPlacement == .around { kept += 2 * decoder.hiddenSize }
        if decoder.queryKeyNorm != nil { kept += query + keyValue }
        kept += try configuration.mixers.enumerated().reduce(0) { most, entry in
            max(
                most,
                try MixerRegistry.mixer(named: entry.element).activationFloats(configuration, layer: entry.offset))
        }
        return kept
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
