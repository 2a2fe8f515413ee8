/// Where packed documents begin: no token sees another document.
public struct Documents: Sendable, ExpressibleByArrayLiteral {
    /// Ascending starts within one sequence (B = 1), the first being 0; empty where only `firstPositions` is known.
    public let starts: [Int]
    /// int32 (B, T): the first position, within its row, of each token's document.
    let firstPositions: Tensor?

    /// Documents that begin at these positions, ascending.
    public init(_ starts: [Int]) { (self.starts, firstPositions) = (starts, nil) }

    public init(arrayLiteral starts: Int...) { self.init(starts) }

    /// - Parameter firstPositions: int32 (B, T) on a GPU, never decreasing along a row.
    public init(firstPositions: Tensor) { (starts, self.firstPositions) = ([], firstPositions) }

    /// The first positions of `length` tokens, on a GPU.
    func firstPositions(length: Int) throws -> Tensor {
        if let firstPositions { return firstPositions }
        var first = [Int32](repeating: 0, count: length)
        for (start, end) in zip(starts, starts.dropFirst() + [length]) {
            for position in start..<min(end, length) { first[position] = Int32(start) }
        }
        return try Tensor(first, shape: [1, length]).to(.cuda)
    }
}
