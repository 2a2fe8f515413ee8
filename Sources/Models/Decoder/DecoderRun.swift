import Tensors

/// A pass of a decoder over token ids (B, T): prompts, training, and what a step captures or a GPU records of one token.
struct DecoderRun {
    /// int32, on the model's device; nil where what enters the layers is there already.
    var ids: Tensor?
    var context: MixerContext
    /// What earlier calls left of the sequences, by layer; nil for whole sequences.
    var states: [any MixerState]?
    /// Layers that keep nothing of their inside for training.
    var recomputation: Recomputation?
    /// Called before every layer; throwing stops.
    var progress: (() throws -> Void)?
    /// Shown what goes into and comes out of every mixer.
    var visit: ((_ layer: Int, _ input: Tensor, _ output: Tensor) throws -> Void)?

    init(ids: Tensor? = nil, _ context: MixerContext, states: [any MixerState]? = nil) {
        (self.ids, self.context, self.states) = (ids, context, states)
    }

    /// The rows of `embedding` of the tokens.
    func embed(_ embedding: DecoderEmbedding) throws -> Tensor {
        guard let ids else { throw ModelError.input(expected: "tokens", found: "none") }
        return try embedding(ids, context: context)
    }

    /// What the mixer of `layer` makes of its input.
    func mix(_ input: NormedInput, _ mixer: any TokenMixer, layer: Int) throws -> BlockOutput {
        let joined = try mixer(input, state: states?[layer], context: context)
        let output = BlockOutput.product(joined, mixer.outputMap)
        guard let visit else { return output }
        let rows = try output.tensor(context)
        try visit(layer, input.tensor(), rows)
        return .rows(rows)
    }

    /// x + `output`, which is normed before.
    func add(_ output: BlockOutput, norm: Normalisation?, to x: Tensor) throws -> Tensor {
        if case .product(let rows, let map) = output, norm == nil, context.linearInputs == nil, map.adapter == nil {
            return try rows.linear(map.weight, bias: map.bias, addedTo: x)
        }
        let rows = try output.tensor(context)
        return try x.adding(norm.map { try rows.normalised($0) } ?? rows)
    }

    /// A whole layer.
    func through(_ block: DecoderBlock, _ x: Tensor) throws -> Tensor {
        try progress?()
        let block = try block.resident(on: x.device)
        guard let recomputation, block.layer < recomputation.layers else { return try block(x, self) }
        return try recomputation.tape.checkpoint(x) { try block($0, self) }
    }
}
