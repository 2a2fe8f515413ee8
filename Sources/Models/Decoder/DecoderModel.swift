import Checkpoints
import Tensors

/// A decoder-only language model of any family, whose layers may have any mixer.
public struct DecoderModel: Sendable {
    /// The decoder's dimensions, and each layer's mixer.
    public let configuration: ModelConfiguration
    let embedding: DecoderEmbedding
    let blocks: [DecoderBlock]
    let finalNorm: Normalisation
    /// (vocabulary, D); the embedding itself when tied.
    let head: Tensor
    let positions: DecoderPositions
    let parameters: Parameters
    /// What the model computes in.
    public let precision: Precision
    /// How states on the processor hold keys and values.
    public var cacheType = CacheType.float32
    let knownFingerprint = KnownFingerprint()

    // MARK: Parameters

    /// Every parameter of a model of this configuration, in the order in which files hold them.
    public static func rules(_ configuration: ModelConfiguration) throws -> [ParameterRule] {
        let decoder = configuration.decoder
        let (names, source) = (configuration.names, ParameterNames.huggingFace)
        let table = [decoder.vocabularySize, decoder.hiddenSize]
        var rules = embeddingRules(configuration)
        rules += try layerRules(configuration).joined()
        rules += Normalisation.rules(decoder, names.finalNorm, from: source.finalNorm)
        if !decoder.tiedEmbeddings { rules.append(.reused(names.head, from: source.head, shape: table)) }
        return rules
    }

    /// The parameters of each layer.
    public static func layerRules(_ configuration: ModelConfiguration) throws -> [[ParameterRule]] {
        try configuration.mixers.indices.map { try DecoderBlock.rules(configuration, layer: $0) }
    }

    /// The parameters before the first layer.
    public static func embeddingRules(_ configuration: ModelConfiguration) -> [ParameterRule] {
        DecoderEmbedding.rules(configuration)
    }

    /// - Parameters:
    ///   - rotary: that of another model of this configuration, whose tables are used again.
    ///   - precision: what the model computes in; nil for what its device computes in unless asked.
    public init(
        _ configuration: ModelConfiguration, parameters: Parameters, rotary: DecoderRotary? = nil,
        precision: Precision? = nil
    ) throws {
        let (decoder, names) = (configuration.decoder, configuration.names)
        self.configuration = configuration
        embedding = try DecoderEmbedding(configuration, parameters: parameters)
        let isStreamed = parameters.areInHostMemory
        blocks = try configuration.mixers.indices.map {
            try DecoderBlock(configuration, layer: $0, parameters: parameters, isStreamed: isStreamed)
        }
        finalNorm = try parameters.norm(names.finalNorm, decoder)
        head = decoder.tiedEmbeddings ? embedding.table : try parameters[names.head]
        positions = try DecoderPositions(configuration, rotary: rotary)
        self.parameters = parameters
        self.precision = try embedding.table.device.precision(precision)
    }

    /// Opens a Hugging Face folder or a .gguf file.
    /// - Parameter dtype: the type to hold weight matrices in; nil keeps the stored one (float32 for quantised files).
    public static func load(_ path: String, as dtype: DType? = nil) throws -> DecoderModel {
        try load(ModelFiles.open(path), as: dtype)
    }

    /// Reads the parameters of a model that is open, whose files stay mapped.
    /// - Parameter dtype: the type to hold weight matrices in; nil keeps the stored one (float32 for quantised files).
    /// - Throws: ``ModelError`` for a configuration that no model has, `CheckpointError` for a tensor that is missing
    ///   or damaged.
    public static func load(_ files: ModelFiles, as dtype: DType? = nil) throws -> DecoderModel {
        let configuration = try ModelConfiguration(files.configuration)
        let parameters = try Parameters(rules(configuration), from: files.checkpoint, as: dtype)
        return try DecoderModel(configuration, parameters: parameters)
    }

    /// The same model on `device`, with the weights that its products read.
    /// - Parameters:
    ///   - precision: what it computes in there; nil for what the device computes in unless asked.
    ///   - memory: where the layers' parameters lie. From the host's memory they are copied to the device layer by layer, whenever a
    ///     run comes through, and no longer take its memory when the layer is behind: for whole sequences without gradients. Embedding,
    ///     final norm and head stay on the device. Results are the same.
    /// - Throws: `TensorError` when there is no such device, or it does not compute in that.
    public func to(
        _ device: Device, precision: Precision? = nil, layersIn memory: MemoryKind = .device
    ) throws -> DecoderModel {
        let precision = try device.precision(precision)
        let isPlaced = !device.traits.hasOwnMemory || parameters.areInHostMemory == (memory == .host)
        if device == self.device, precision == self.precision, isPlaced { return self }
        let names = Set(try Self.layerRules(configuration).joined().map(\.name))
        return try DecoderModel(
            configuration, parameters: parameters.to(device) { names.contains($0) ? memory : .device },
            precision: precision)
    }

    /// Where the model computes.
    public var device: Device { head.device }

    // MARK: Forward

    /// The final hidden states (B, T, D) of token ids (B, T), before the head.
    /// - Parameters:
    ///   - state: the B sequences so far, advanced by T tokens; nil scores whole sequences.
    ///   - documents: ascending starts of packed documents (B = 1), the first being 0.
    ///   - recomputation: layers that keep nothing of their inside for training.
    ///   - progress: called before every layer, except on a device that works aside, which is given all of them at once; throwing
    ///     stops, and `state` is then as it was.
    public func hidden(
        _ tokens: [[Int32]], state: DecoderState? = nil, documents: Documents? = nil,
        recomputation: Recomputation? = nil, progress: (() throws -> Void)? = nil
    ) throws -> Tensor {
        try hidden(
            ids: requireRectangle(tokens, documents: documents), state: state, documents: documents,
            recomputation: recomputation, progress: progress)
    }

    /// The same for token ids (B, T) in a tensor on the model's device, int32, all within the vocabulary.
    /// - Parameter carried: what the rows of a batch in training go on with, instead of a state.
    public func hidden(
        ids: Tensor, state: DecoderState? = nil, documents: Documents? = nil, recomputation: Recomputation? = nil,
        carried: CarriedRows? = nil, progress: (() throws -> Void)? = nil
    ) throws -> Tensor {
        try hidden(
            ids: ids, state: state, documents: documents, recomputation: recomputation, carried: carried,
            uses: nil, progress: progress)
    }

    func hidden(
        ids: Tensor, state: DecoderState?, documents: Documents?, recomputation: Recomputation?, carried: CarriedRows?,
        uses: MemoryUses?, progress: (() throws -> Void)?
    ) throws -> Tensor {
        if let state {
            guard ids.shape[0] == state.rows else {
                throw ModelError.input(
                    expected: "as many sequences as the state has, \(state.rows)", found: "\(ids.shape[0])")
            }
            try state.reserve(state.position + ids.shape[1])
        }
        var context = try positions.context(
            offset: state?.position ?? 0, count: ids.shape[1], documents: documents, on: device)
        context.memoryUses = uses
        if let carried {
            context.turns = carried.turns
            context.carried = try carried.documents(documents)
        }
        // In training there are none, and a layer that is computed again must not take them the first time.
        if recomputation != nil { context.turns = context.turns.map(\.withoutSinks) }
        var run = try DecoderRun(ids: ids, context, states: carried?.layers ?? state?.layers())
        run.recomputation = recomputation
        if !device.traits.worksAside { run.progress = progress }
        let undo = try run.progress == nil ? nil : state?.undo()
        do {
            let x = try hidden(run).tensor()
            state?.position += ids.shape[1]
            return x
        } catch {
            undo?()
            throw error
        }
    }

    /// The whole decoder but its head, which is the same for everything that runs it: the hidden states before the head.
    func hidden(_ run: DecoderRun) throws -> NormedInput {
        NormedInput(try layers(run.embed(embedding), run, blocks[...]), finalNorm)
    }

    /// Some layers, one after another.
    func layers(_ x: Tensor, _ run: DecoderRun, _ blocks: ArraySlice<DecoderBlock>) throws -> Tensor {
        try blocks.reduce(x) { try run.through($1, $0) }
    }

    /// Token ids (B, T) as a tensor on the model's device.
    func requireRectangle(_ tokens: [[Int32]], documents: Documents?) throws -> Tensor {
        guard let length = tokens.first?.count, length > 0, tokens.allSatisfy({ $0.count == length }) else {
            throw ModelError.input(
                expected: "at least one token, and sequences of one length", found: "\(tokens.map(\.count))")
        }
        guard tokens.count == 1 || documents == nil else {
            throw ModelError.input(expected: "one sequence of packed documents", found: "\(tokens.count) sequences")
        }
        let flat = tokens.flatMap { $0 }
        try require(flat)
        return try Tensor(flat, shape: [tokens.count, length]).to(device)
    }

    /// Logits (B, T, vocabulary), float32, of token ids (B, T).
    public func logits(_ tokens: [[Int32]], state: DecoderState? = nil, documents: Documents? = nil) throws -> Tensor {
        try hidden(tokens, state: state, documents: documents).logits(head: head, cap: logitCap)
    }

    /// Logits (vocabulary) of the token after the last of `tokens`, which continue `state`.
    /// - Parameter progress: called before every layer; throwing stops, and `state` is then as it was.
    public func nextLogits(
        _ tokens: [Int32], state: DecoderState, progress: (() throws -> Void)? = nil
    ) throws -> Tensor {
        try nextLogits([tokens], state: state, progress: progress).reshaped([configuration.decoder.vocabularySize])
    }

    /// Logits (B, vocabulary) of the tokens after the last of `tokens` (B, T), which continue the sequences of `state`.
    public func nextLogits(
        _ tokens: [[Int32]], state: DecoderState, progress: (() throws -> Void)? = nil
    ) throws -> Tensor {
        let hidden = try hidden(tokens, state: state, progress: progress)
        let (rows, length) = (hidden.shape[0], hidden.shape[1])
        let flat = try hidden.reshaped([rows * length, configuration.decoder.hiddenSize])
        return try Tensor.embedding((1...rows).map { Int32($0 * length - 1) }, table: flat).logits(
            head: head, cap: logitCap)
    }

    /// The negative log-likelihood, in nats, of every token of each sequence but its first: (B · (T - 1)) values.
    /// - Parameters:
    ///   - state: the sequences so far, advanced by all tokens but the last.
    ///   - documents: starts of packed documents among the tokens but the last (B = 1).
    public func negativeLogLikelihood(
        _ tokens: [[Int32]], state: DecoderState? = nil, documents: Documents? = nil
    ) throws -> [Float] {
        let inputs = tokens.map { Array($0.dropLast()) }
        let hidden = try hidden(inputs, state: state, documents: documents)
        let rows = inputs.reduce(0) { $0 + $1.count }
        return try hidden.reshaped([rows, configuration.decoder.hiddenSize])
            .negativeLogLikelihood(
                head: head, targets: tokens.flatMap { $0.dropFirst() }, cap: logitCap)
    }

    /// - Throws: ``ModelError/input(expected:found:)`` unless all `tokens` are in the vocabulary.
    public func require(_ tokens: [Int32]) throws {
        let vocabulary = configuration.decoder.vocabularySize
        if let token = tokens.first(where: { $0 < 0 || Int($0) >= vocabulary }) {
            throw ModelError.input(expected: "tokens from 0 to \(vocabulary - 1)", found: "\(token)")
        }
    }

    /// The state of `rows` sequences that have not begun: several, of one length at all times, on a GPU.
    public func makeState(rows: Int = 1) throws -> DecoderState {
        guard rows == 1 || rows > 1 && device.traits.readsInStep else {
            throw ModelError.input(expected: "one sequence a state, or more on a GPU", found: "\(rows)")
        }
        return DecoderState(rows: rows, layers: try blocks.map { try $0.mixer.makeState(rows: rows, cache: cacheType) })
    }
}
