/// Where documents stand in B rows of T tokens that go on with the rows before them, in training: truncated back-propagation
/// through time. What stood before is behind constants: keys and values of some of it, and the state of slots.
///
/// Places for P tokens come before those of a row. The last of them hold what the row's first document had before, as
/// far as they reach; ones of no token are documents of their own, which no token sees.
public final class CarriedDocuments: @unchecked Sendable {
    // Unchecked: only the thread that runs a training step makes documents.

    /// The documents among the T tokens.
    public let documents: Documents
    /// Tokens that the first document had before the row, 0 where one begins: of one row on the processor.
    let before: Int
    /// The same of B rows on a GPU, int32 (B).
    let counts: Tensor?
    private var known: [Int: Documents] = [:]

    /// One row on the processor.
    public init(_ documents: Documents, before: Int) {
        (self.documents, self.before, counts) = (documents, before, nil)
    }

    /// Rows on a GPU.
    /// - Parameters:
    ///   - documents: by the first positions of tokens, (B, T).
    ///   - before: int32 (B).
    public init(_ documents: Documents, before: Tensor) {
        (self.documents, self.before, counts) = (documents, 0, before)
    }

    /// Of `past` places, those that hold tokens of the first document: on the processor.
    func held(_ past: Int) -> Int { min(before, past) }

    /// The documents among `past` places and the T tokens behind them.
    package func documents(behind past: Int) throws -> Documents {
        if let known = known[past] { return known }
        let result = try counts.map { try behind(past, counts: $0) } ?? behind(past)
        known[past] = result
        return result
    }

    private func behind(_ past: Int) -> Documents {
        let held = held(past)
        let first = before > 0 ? [past - held] : []
        let starts = first + documents.starts.dropFirst(first.count).map { $0 + past }
        return Documents(starts.first == 0 ? starts : [0] + starts)
    }

    private func behind(_ past: Int, counts: Tensor) throws -> Documents {
        guard let first = documents.firstPositions else {
            throw TensorError.device("rows that go on with others need the first positions of their documents")
        }
        return Documents(firstPositions: try CUDABackend.opened.get().firstPositions(first, behind: past, counts))
    }
}
