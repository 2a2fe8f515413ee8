import Tensors

/// A model's next-token step on a GPU, for all sequences of a state at once. All of its kernels are recorded and started by
/// one call, which also chooses the likeliest next tokens and goes on to the next position: greedy decoding leaves the GPU
/// only to report. Time and memory of a step do not depend on how much a recurrent model has read.
public final class DeviceStep {
    /// The model whose step this is.
    public let model: DecoderModel
    private let state: DecoderState
    private let tokens: DecodingTokens
    /// The angles of the positions p/L·L ..< p/L·L + L around the next one, p.
    private let angles: RotaryTable
    /// L: positions whose angles and chosen tokens are on the GPU at a time.
    private static let stretch = 1024
    /// That of the farthest position from which sinks are seen, for all positions.
    private let sinkAngles: RotaryTable
    /// The same of kept attention, where its positions are others: keys, queries and queries for sinks, of the stretch.
    private let kept: Turns?
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
        let table = try model.rotary.table(offset: 0, count: Self.stretch)
        angles = RotaryTable(
            cosines: try table.cosines.to(model.device), sines: try table.sines.to(model.device),
            position: tokens.position)
        let farthest = try model.rotary.table(offset: model.farthest, count: 1)
        sinkAngles = RotaryTable(
            cosines: try farthest.cosines.to(model.device), sines: try farthest.sines.to(model.device),
            position: tokens.position)
        let position = tokens.position
        kept = try model.keptPositions?.stretch(model.rotary, from: 0, count: Self.stretch).map {
            RotaryTable(
                cosines: try $0.cosines.to(model.device), sines: try $0.sines.to(model.device), position: position)
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
        try state.reserve(state.position + 1)
        let isFar = (
            model.hasSinks && state.position > model.farthest,
            model.keptPositions?.isFar(state.position) ?? false
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
        let table = try model.rotary.table(offset: first, count: Self.stretch, length: first + 1)
        try angles.overwrite(table)
        guard let kept, let turns = try model.keptPositions?.stretch(model.rotary, from: first, count: Self.stretch)
        else { return }
        try kept.keys.overwrite(turns.keys)
        try kept.queries.overwrite(turns.queries)
        if let sinks = turns.sinkQueries { try kept.sinkQueries?.overwrite(sinks) }
    }

    /// Gives the GPU the work of one token.
    private func give() throws {
        let decoder = model.configuration.decoder
        var context = MixerContext(rotary: angles, documents: nil)
        if isFar.0 { context.sinkRotary = sinkAngles }
        context.kept = kept
        if !isFar.1 { context.kept?.sinkQueries = nil }
        var x = try Tensor.embedding(tokens.ids, table: model.embedding)
            .reshaped([state.rows, 1, decoder.hiddenSize])
        for (layer, block) in model.blocks.enumerated() {
            x = try block(x, state: state.layers[layer], context: context)
        }
        let logits = try x.rmsNorm(weight: model.finalNorm, epsilon: decoder.normEpsilon).logits(head: model.head)
            .reshaped([state.rows, decoder.vocabularySize])
        try tokens.choose(logits)
        try tokens.advance()
        output = logits
    }
}

extension RotaryTable {
    /// Takes over the values of another table of the same shape, on the processor.
    fileprivate func overwrite(_ table: RotaryTable) throws {
        try cosines.overwrite(table.cosines.array(Float.self))
        try sines.overwrite(table.sines.array(Float.self))
    }
}

extension DecoderModel {
    /// Bytes of weights that a step reads, once for all sequences.
    public var stepWeightBytes: Int {
        parameters.byteCount - (configuration.decoder.tiedEmbeddings ? 0 : embedding.byteCount)
    }
}
