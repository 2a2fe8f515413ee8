import Tensors

/// By what the heads of one call turn.
struct Turns: Sendable {
    var keys: RotaryTable
    /// Those of queries, where they are not as keys'.
    private var own: RotaryTable?
    var queries: RotaryTable {
        get { own ?? keys }
        set { own = newValue }
    }
    /// Queries for sinks, when some stand further from the first token than the model was trained on.
    var sinkQueries: RotaryTable?

    init(_ table: RotaryTable, sinkQueries: RotaryTable? = nil) {
        (keys, self.sinkQueries) = (table, sinkQueries)
    }

    func map(_ transform: (RotaryTable) throws -> RotaryTable) rethrows -> Turns {
        var turns = Turns(try transform(keys), sinkQueries: try sinkQueries.map(transform))
        turns.own = try own.map(transform)
        return turns
    }

    /// Turns queries (B, T, H, K) and keys (B, T, N, K).
    func callAsFunction(q: Tensor, k: Tensor) throws -> (q: Tensor, k: Tensor) {
        if let own { return (try own(q), try keys(k)) }
        return try keys(q: q, k: k)
    }

    fileprivate func overwrite(_ turns: Turns) throws {
        try keys.overwrite(turns.keys)
        try own?.overwrite(turns.queries)
        if let sinks = turns.sinkQueries { try sinkQueries?.overwrite(sinks) }
    }
}

/// By what the heads of layers of one kind turn.
struct LayerTurns: Sendable {
    /// The heads of mixers, and of attention that is bounded by the source.
    var mixer: Turns
    /// Those of kept attention, where its positions are others.
    var kept: Turns?

    /// Those of kept attention.
    var ofKept: Turns { kept ?? mixer }

    /// Without queries for sinks.
    var withoutSinks: LayerTurns { withSinks(mixer: false, kept: false) }

    /// With those queries for sinks only that are asked for.
    func withSinks(mixer: Bool, kept: Bool) -> LayerTurns {
        var turns = self
        if !mixer { turns.mixer.sinkQueries = nil }
        if !kept { turns.kept?.sinkQueries = nil }
        return turns
    }

    func map(_ transform: (RotaryTable) throws -> RotaryTable) rethrows -> LayerTurns {
        LayerTurns(mixer: try mixer.map(transform), kept: try kept?.map(transform))
    }

    /// Takes over the values of others of the same shapes, which are on the processor.
    func overwrite(_ turns: LayerTurns) throws {
        try mixer.overwrite(turns.mixer)
        if let other = turns.kept { try kept?.overwrite(other) }
    }
}
