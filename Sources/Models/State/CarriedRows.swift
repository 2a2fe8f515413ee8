import Tensors

/// What the B rows of a batch in training take over from the rows before them, and leave to those after: truncated
/// back-propagation through time (Williams and Peng 1990), "state passing" (arXiv 2507.02782). Gradients end where a row
/// begins. On a GPU everything that recorded work reads stays where it is.
public final class CarriedRows {
    let layers: [any MixerState]
    /// By what heads turn.
    let turns: [LayerTurns]
    private let positions: DecoderPositions
    /// Tokens of a row, T.
    private let length: Int
    /// The tokens of each row's first document that stood in the rows before it, on the device: int32 (B).
    private let counts: Tensor

    init(_ model: DecoderModel, rows: Int, length: Int, layers: [any MixerState]) throws {
        guard !model.configuration.decoder.hasLearnedPositions else {
            throw ModelError.input(
                expected: "a model with rotary positions, whose rows may go on with others",
                found: "one with learned positions")
        }
        (self.layers, self.length, positions) = (layers, length, model.positions)
        turns = try Self.turns(model.positions, from: 0, count: length).map {
            try $0.map { try $0.copy(on: model.device) }
        }
        counts = try .zeros([rows], .int32, on: model.device)
    }

    /// Turns to the next rows.
    /// - Parameters:
    ///   - before: for each row the tokens of its first document that stood in the rows before it; 0 where one begins.
    ///   - position: where the rows' first tokens stand.
    public func begin(before: [Int], position: Int) throws {
        try counts.overwrite(before.map { Int32($0) })
        for (own, other) in try zip(turns, Self.turns(positions, from: position, count: length)) {
            try own.overwrite(other)
        }
    }

    /// Tables on the processor, without queries that grow or that are for sinks.
    private static func turns(_ positions: DecoderPositions, from first: Int, count: Int) throws -> [LayerTurns] {
        try positions.rotary.kinds.map { rotary in
            let kept = try positions.kept.map {
                Turns(try rotary.table(offset: first, count: count, positions: $0.positions))
            }
            return LayerTurns(mixer: Turns(try rotary.table(offset: first, count: count)), kept: kept)
        }
    }

    /// What was left by the rows that have gone through the model becomes what the next take over.
    public func advance() throws {
        for layer in layers { try layer.advance() }
    }

    /// The documents of rows that have these by themselves.
    func documents(_ documents: Documents?) throws -> CarriedDocuments {
        guard let documents else {
            throw ModelError.input(expected: "the documents of rows that go on with others", found: "none")
        }
        return CarriedDocuments(documents, before: counts)
    }

    /// Everything that the next rows take over, by name.
    public func snapshot() throws -> StateSnapshot {
        var snapshot = StateSnapshot(position: 0)
        for (layer, state) in layers.enumerated() { try state.store(in: &snapshot, prefix: "layers.\(layer).") }
        return snapshot
    }

    /// Takes over what was stored of rows of the same kind.
    /// - Throws: ``ModelError/state(name:expected:found:)``.
    public func restore(_ snapshot: StateSnapshot) throws {
        for (layer, state) in layers.enumerated() { try state.restore(snapshot, prefix: "layers.\(layer).") }
    }
}

extension DecoderModel {
    /// For `rows` rows of `length` tokens, up to `count` of which stand one behind another.
    public func makeCarriedRows(rows: Int, length: Int, count: Int) throws -> CarriedRows {
        guard rows == 1 || rows > 1 && device.traits.readsInStep else {
            throw ModelError.input(expected: "one row that goes on with others, or more on a GPU", found: "\(rows)")
        }
        let tokens = (count - 1) * length
        return try CarriedRows(
            self, rows: rows, length: length,
            layers: blocks.map { try $0.mixer.makeCarriedState(rows: rows, tokens: tokens) })
    }
}
