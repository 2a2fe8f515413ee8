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
    ///   - embedding: (vocabulary, D).
    public init(_ configuration: ModelConfiguration, pieces: [[Int32]], embedding: Tensor) throws {
        let rotary = RotaryEmbedding(configuration.decoder)
        self.configuration = configuration
        hidden = try pieces.map {
            try Tensor.embedding($0, table: embedding).reshaped([1, $0.count, configuration.decoder.hiddenSize])
        }
        let positions = try KeptPositions(configuration)
        var known: [Int: MixerContext] = [:]
        contexts = try pieces.map { piece in
            if let context = known[piece.count] { return context }
            var context = MixerContext(
                rotary: try rotary.table(offset: 0, count: piece.count), documents: nil)
            context.kept = try positions?.turns(rotary, offset: 0, count: piece.count, documents: nil, on: .cpu)
            known[piece.count] = context
            return context
        }
    }

    /// Runs the next layer with these parameters and stays before it.
    /// - Parameter progress: called before each piece; throwing stops.
    public func run(_ parameters: Parameters, progress: () throws -> Void = {}) throws -> [Tensor] {
        let block = try DecoderBlock(configuration, layer: layer, parameters: parameters)
        return try zip(hidden, contexts).map {
            try progress()
            return try block($0, state: nil, context: $1)
        }
    }

    /// Goes past the next layer, whose outputs with its final parameters are `outputs`.
    public mutating func advance(to outputs: [Tensor]) {
        hidden = outputs
        layer += 1
    }

    /// Adds the inputs of the head, once all layers are behind: `finalNorm` (D).
    public func addHeadInputs(finalNorm: Tensor, to moment: inout InputMoment) throws {
        for x in hidden {
            try moment.add(x.rmsNorm(weight: finalNorm, epsilon: configuration.decoder.normEpsilon))
        }
    }
}
