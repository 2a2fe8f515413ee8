import Tensors

/// What runs a decoder: whole rows of tokens (``TensorRun``), or a step that is recorded for the processor (``StepRun``). The
/// decoder and its blocks are written once, in these terms.
protocol DecoderRun {
    /// Activations (..., D) of the tokens in hand.
    associatedtype Rows
    /// The same after a norm, for the maps that read them.
    associatedtype Input
    /// What a mixer or an MLP gives, still without the last product, which is done as it is added.
    associatedtype Output

    /// The rows of `embedding` of the tokens in hand.
    func embed(_ embedding: DecoderEmbedding) throws -> Rows
    /// x normed, or itself without a norm; to be read by the weights `readers`.
    func norm(_ x: Rows, _ norm: Normalisation?, readers: [Tensor]) throws -> Input
    /// What the mixer of `layer` makes of its input.
    func mix(_ input: Input, _ mixer: any TokenMixer, layer: Int) throws -> Output
    /// What the MLP makes of its input.
    func expand(_ input: Input, _ mlp: any FeedForward) throws -> Output
    /// x + `output`, which is normed before.
    func add(_ output: Output, norm: Normalisation?, to x: Rows) throws -> Rows
    /// A whole layer; what may be done otherwise than `block` does it by itself.
    func through(_ block: DecoderBlock, _ x: Rows) throws -> Rows
}

extension DecoderRun {
    func through(_ block: DecoderBlock, _ x: Rows) throws -> Rows { try block(x, self) }
}

/// A decoder over token ids (B, T), an operation at a time: for prompts, training, and the graphs of a GPU.
struct TensorRun: DecoderRun {
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

    func embed(_ embedding: DecoderEmbedding) throws -> Tensor {
        guard let ids else { throw ModelError.input(expected: "tokens", found: "none") }
        return try embedding(ids, context: context)
    }

    func norm(_ x: Tensor, _ norm: Normalisation?, readers: [Tensor]) -> NormedInput { NormedInput(x, norm) }

    func mix(_ input: NormedInput, _ mixer: any TokenMixer, layer: Int) throws -> BlockOutput {
        let joined = try mixer(input, state: states?[layer], context: context)
        let output = BlockOutput.product(joined, mixer.outputMap)
        guard let visit else { return output }
        let rows = try output.tensor(context)
        try visit(layer, input.tensor(), rows)
        return .rows(rows)
    }

    func expand(_ input: NormedInput, _ mlp: any FeedForward) throws -> BlockOutput { try mlp(input, context) }

    func add(_ output: BlockOutput, norm: Normalisation?, to x: Tensor) throws -> Tensor {
        if case .product(let rows, let map) = output, norm == nil, context.linearInputs == nil {
            return try rows.linear(map.weight, bias: map.bias, addedTo: x)
        }
        let rows = try output.tensor(context)
        return try x.adding(norm.map { try rows.normalised($0) } ?? rows)
    }

    func through(_ block: DecoderBlock, _ x: Tensor) throws -> Tensor {
        try progress?()
        guard let recomputation, block.layer < recomputation.layers else { return try block(x, self) }
        return try recomputation.tape.checkpoint(x) { try block($0, self) }
    }
}

/// A decoder's step for one token each of several sequences, which is recorded for the processor.
final class StepRun: DecoderRun {
    let step: RecordedStep
    private let angles: StepAngles
    /// Learned positions, which are set before every run.
    private(set) var places: RecordedStep.Places?
    /// What binds the states of a row, by layer.
    private(set) var bindings: [StateBinding] = []

    init(_ step: RecordedStep, _ angles: StepAngles) { (self.step, self.angles) = (step, angles) }

    func embed(_ embedding: DecoderEmbedding) throws -> RecordedStep.Rows {
        let x = try step.embedding(embedding.table, scale: embedding.scale)
        places = try embedding.positions.map { try step.addEmbedding($0, to: x) }
        return x
    }

    func norm(_ x: RecordedStep.Rows, _ norm: Normalisation?, readers: [Tensor]) throws -> RecordedStep.Rows {
        try norm.map { try step.norm(x, $0, readers: readers) } ?? step.rounded(x, readers: readers)
    }

    func mix(
        _ input: RecordedStep.Rows, _ mixer: any TokenMixer, layer: Int
    ) throws -> StepOutput {
        let (joined, binding) = try mixer.record(step, input: input, angles: angles)
        bindings.append(binding)
        return .product(joined, mixer.outputMap)
    }

    func expand(_ input: RecordedStep.Rows, _ mlp: any FeedForward) throws -> StepOutput {
        try mlp.record(step, input)
    }

    func add(_ output: StepOutput, norm: Normalisation?, to x: RecordedStep.Rows) throws -> RecordedStep.Rows {
        switch output {
        case .product(let rows, let map):
            if let norm {
                try step.norm(step.linear(rows, maps: [map])[0], norm, addedTo: x)
            } else {
                try step.linear(rows, map, addedTo: x)
            }
        case .experts(let experts, let input, let router):
            // A norm of what experts give is refused as the model is made.
            try step.experts(input, router: router, experts, addedTo: x)
        }
        return x
    }
}
