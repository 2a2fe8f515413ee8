/// Where documents stand in B rows of T tokens that go on with the rows before them, in training: truncated back-propagation
/// through time. What stood before is behind constants: keys and values of some of it, and the state of slots.
///
/// Places for P tokens come before those of a row. The last of them hold what the row's first document had before, as
/// far as they reach; ones of no token are documents of their own, which no token sees.
public final class CarriedDocuments: @unchecked Sendable {
    // Unchecked: only the thread that runs a training step makes documents.

    /// The documents among the T tokens.
    public let documents: Documents
    /// Tokens that the first document of each row had before it, 0 where one begins: int32 (B).
    let counts: Tensor
    private var known: [Int: Documents] = [:]

    /// - Parameters:
    ///   - documents: by the first positions of tokens, (B, T), where B is not 1.
    ///   - before: int32 (B).
    public init(_ documents: Documents, before: Tensor) { (self.documents, counts) = (documents, before) }

    /// The documents among `past` places and the T tokens behind them.
    package func documents(behind past: Int) throws -> Documents {
        if let known = known[past] { return known }
        let result = try counts.backend("documents").documents(documents, behind: past, before: counts)
        known[past] = result
        return result
    }
}
