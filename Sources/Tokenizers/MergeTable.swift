/// The merges of byte-pair encoding: from a pair of neighbouring token ids to the merge's rank and the merged token.
struct MergeTable: Sendable {
    struct Merge: Sendable {
        /// The position in the list of merges; lower ones are applied first.
        var rank: UInt32
        var id: Int32
    }

    /// No pair: ids are not negative.
    private static let free = UInt64.max
    /// An open-addressing hash table. The size is a power of two, at most half of it used.
    private var keys: [UInt64]
    private var values: [Merge]
    private let mask: Int
    /// So that nobody can prepare merges that all have one place.
    private let seed = UInt64.random(in: .min ... .max)

    init(capacity: Int) {
        var size = 16
        while size < capacity * 2 { size *= 2 }
        keys = Array(repeating: Self.free, count: size)
        values = Array(repeating: Merge(rank: .max, id: -1), count: size)
        mask = size - 1
    }

    /// Adds a merge, or replaces the one of the same pair. At most `capacity` pairs may be added.
    mutating func insert(_ left: Int32, _ right: Int32, _ merge: Merge) {
        let key = Self.key(left, right)
        let slot = slot(of: key)
        keys[slot] = key
        values[slot] = merge
    }

    @inline(__always)
    subscript(left: Int32, right: Int32) -> Merge? {
        let key = Self.key(left, right)
        let slot = slot(of: key)
        return keys[slot] == key ? values[slot] : nil
    }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    @inline(__always)
    private func slot(of key: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: mixed(key ^ seed)) & mask
        while keys[slot] != key, keys[slot] != Self.free { slot = (slot + 1) & mask }
        return slot
    }
}
