import Tensors

/// A model's next-token step on a GPU, for all sequences of a state at once. All of its kernels are recorded and started by
/// one call, which also chooses the likeliest next tokens and goes on to the next position: greedy decoding leaves the GPU
/// only to report. Time and memory of a step do not depend on how much a recurrent model has read.
public final class DeviceStep {
    /// The model whose step this is.
    public let model: DecoderModel
    private let state: DecoderState
    private let tokens: DecodingTokens
    /// By what heads turn at the positions p/L·L ..< p/L·L + L around the next one, p.
    private let turns: [LayerTurns]
    /// L: positions whose angles and chosen tokens are on the GPU at a time.
    private static let stretch = 1024
    /// Whether the graph is for positions beyond those from which sinks are seen; that of kept attention.
    private var isFar = (false, false)
    private var output: Tensor?
    private var graph: (any RecordedWork)?
    /// The revision of the state that the GPU's position and the graph are for.
    private var revision: Int?

    /// - Parameter state: what the step goes on from, and advances.
    public init(_ model: DecoderModel, state: DecoderState) throws {
        (self.model, self.state) = (model, state)
        tokens = try DecodingTokens(rows: state.rows, length: Self.stretch, on: model.device)
        let (device, position) = (model.device, tokens.position)
        turns = try model.positions.stretch(from: 0, count: Self.stretch).map {
            try $0.map { try $0.copy(on: device, position: position) }
        }
    }

    /// Reads `ids`, one for each sequence.
    public func read(_ ids: [Int32]) throws {
        try choose(ids)
        try advance()
    }

    /// Logits (R, vocabulary), float32, of the tokens after those read last; nil before.
    public var logits: Tensor? { output }

    /// Reads `ids`, one for each sequence, and goes on with the likeliest tokens.
    /// - Returns: `count` tokens of each sequence, of which the last is not read.
    public func generate(_ count: Int, after ids: [Int32]) throws -> [[Int32]] {
        try choose(ids)
        var result = [[Int32]](repeating: [], count: state.rows)
        var first = state.position
        for index in stride(from: 1, through: count, by: 1) {
            try advance()
            guard index == count || state.position % Self.stretch == 0 else { continue }
            let start = first % Self.stretch
            let chosen = try tokens.history.rows(start..<start + state.position - first).array(Int32.self)
            for (place, token) in chosen.enumerated() { result[place % state.rows].append(token) }
            first = state.position
        }
        return result
    }

    private func choose(_ ids: [Int32]) throws {
        guard ids.count == state.rows else {
            throw ModelError.input(expected: "\(state.rows) tokens", found: "\(ids.count)")
        }
        try model.require(ids)
        try tokens.ids.overwrite(ids)
    }

    private func advance() throws {
        // What is recorded serves for all positions and cannot say where they end.
        try model.embedding.requirePlaces(for: state.position + 1)
        try state.reserve(state.position + 1)
        let isFar = (
            model.positions.isFar(state.position), model.positions.kept?.isFar(state.position) ?? false
        )
        if isFar != self.isFar { (self.isFar, revision) = (isFar, nil) }
        if let revision, revision == state.revision {
            if state.position % Self.stretch == 0 { try fillAngles() }
            if graph == nil { graph = try model.device.record { try give() } }
            try graph?.run()
        } else {
            // The first step is done by hand: it compiles kernels, and memory that is shared becomes the state's own.
            graph = nil
            try tokens.position.overwrite([Int32(truncatingIfNeeded: state.position)])
            try fillAngles()
            try give()
            revision = state.revision
        }
        state.position += 1
    }

    private func fillAngles() throws {
        let first = state.position / Self.stretch * Self.stretch
        for (own, other) in try zip(turns, model.positions.stretch(from: first, count: Self.stretch)) {
            try own.overwrite(other)
        }
    }

    /// Gives the GPU the work of one token.
    private func give() throws {
        let decoder = model.configuration.decoder
        let context = MixerContext(turns: turns.map { $0.withSinks(mixer: isFar.0, kept: isFar.1) }, documents: nil)
        let logits = try model.hidden(TensorRun(ids: tokens.ids, context, states: state.layers))
            .logits(head: model.head, cap: model.logitCap).reshaped([state.rows, decoder.vocabularySize])
        try tokens.choose(logits)
        try tokens.advance()
        output = logits
    }
}

extension DecoderModel {
    /// Bytes of weights that a step reads, once for all sequences.
    public var stepWeightBytes: Int {
        parameters.byteCount - (configuration.decoder.tiedEmbeddings ? 0 : embedding.table.byteCount)
    }
}
