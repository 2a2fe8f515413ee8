import Tensors

/// Runs a model over a text one layer at a time, for work that goes through a model layer by layer and holds one in
/// memory: what reaches each layer can come from layers that have been changed meanwhile.
public struct LayerwiseForward {
    let configuration: ModelConfiguration
    /// What reaches the next layer: (1, T, D) for each piece of text.
    public private(set) var hidden: [Tensor]
    /// The next layer.
    public private(set) var layer = 0
    private let contexts: [MixerContext]

    /// - Parameters:
    ///   - pieces: token ids of texts that do not see each other, each at least one.
    ///   - parameters: those of ``DecoderModel/embeddingRules(_:)``.
    public init(_ configuration: ModelConfiguration, pieces: [[Int32]], parameters: Parameters) throws {
        self.configuration = configuration
        let positions = try DecoderPositions(configuration)
        let embedding = try DecoderEmbedding(configuration, parameters: parameters)
        var known: [Int: MixerContext] = [:]
        let contexts = try pieces.map { piece in
            if let context = known[piece.count] { return context }
            let context = try positions.context(offset: 0, count: piece.count, documents: nil, on: .cpu)
            known[piece.count] = context
            return context
        }
        hidden = try zip(pieces, contexts).map { piece, context in
            try DecoderRun(ids: Tensor(piece, shape: [1, piece.count]), context).embed(embedding)
        }
        self.contexts = contexts
    }

    /// Runs the next layer with these parameters and stays before it.
    /// - Parameters:
    ///   - inputs: shown the inputs of every linear map.
    ///   - progress: called before each piece; throwing stops.
    public func run(
        _ parameters: Parameters, inputs: LinearInputs? = nil, progress: () throws -> Void = {}
    ) throws -> [Tensor] {
        let block = try DecoderBlock(configuration, layer: layer, parameters: parameters)
        return try zip(hidden, contexts).map { x, context in
            try progress()
            var run = DecoderRun(context)
            run.context.linearInputs = inputs
            return try run.through(block, x)
        }
    }

    /// Goes past the next layer, whose outputs with its final parameters are `outputs`.
    public mutating func advance(to outputs: [Tensor]) {
        hidden = outputs
        layer += 1
    }

    /// Adds the inputs of the head, once all layers are behind, with the `parameters` of the final norm.
    public func addHeadInputs(_ parameters: Parameters, to moment: inout InputMoment) throws {
        let norm = try parameters.norm(configuration.names.finalNorm, configuration.decoder)
        for x in hidden { try moment.add(x.normalised(norm)) }
    }
}
