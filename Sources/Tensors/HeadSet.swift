/// Some of a layer's key/value heads, of which there are at most 64.
public struct HeadSet: Sendable, Hashable {
    /// Head h is in the set when bit h is 1.
    public let bits: UInt64

    /// The most heads that a layer may have where sets of them are told apart.
    public static let mostHeads = 64

    /// - Parameter heads: 0 ..< ``mostHeads`` each; others are not in the set.
    public init(_ heads: some Sequence<Int>) {
        bits = heads.reduce(0) { (0..<Self.mostHeads).contains($1) ? $0 | 1 << UInt64($1) : $0 }
    }

    /// Whether no head is in the set.
    public var isEmpty: Bool { bits == 0 }
    /// Heads in the set.
    public var count: Int { bits.nonzeroBitCount }
    /// Whether `head` is in the set; false for numbers that no head has.
    public func contains(_ head: Int) -> Bool { (0..<Self.mostHeads).contains(head) && bits >> UInt64(head) & 1 == 1 }
    /// The heads in ascending order.
    public var heads: [Int] { (0..<Self.mostHeads).filter(contains) }

    /// The others of `count` heads.
    public func complement(of count: Int) -> HeadSet { HeadSet((0..<count).filter { !contains($0) }) }
}
