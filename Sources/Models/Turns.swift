/// By what the heads of one call turn.
struct Turns: Sendable {
    var keys: RotaryTable
    var queries: RotaryTable
    /// Queries for sinks, when some stand further from the first token than the model was trained on.
    var sinkQueries: RotaryTable?

    init(_ table: RotaryTable, sinkQueries: RotaryTable? = nil) {
        (keys, queries, self.sinkQueries) = (table, table, sinkQueries)
    }

    func map(_ transform: (RotaryTable) throws -> RotaryTable) rethrows -> Turns {
        var turns = Turns(try transform(keys), sinkQueries: try sinkQueries.map(transform))
        turns.queries = try transform(queries)
        return turns
    }
}
