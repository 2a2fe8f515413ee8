/// Values by key within a budget of bytes: those that were used least recently go first.
package struct RecentValues<Key: Hashable, Value> {
    fileprivate struct Node {
        var key: Key
        var value: Value
        var bytes: Int
        /// Places of those used just after and just before; -1 for none.
        var newer: Int
        var older: Int
    }

    /// The most bytes that the values may take together.
    package let budget: Int
    /// Bytes that they take.
    package private(set) var byteCount = 0
    private var nodes: [Node?] = []
    private var free: [Int] = []
    private var places: [Key: Int] = [:]
    private var (newest, oldest) = (-1, -1)

    package init(budget: Int) { self.budget = budget }

    package var count: Int { places.count }

    /// The value of `key`, which stays as recently used as it was.
    package func peek(_ key: Key) -> Value? { places[key].flatMap { nodes[$0]?.value } }

    /// All keys and values, in no order.
    package func forEach(_ body: (Key, Value) -> Void) { for case let node? in nodes { body(node.key, node.value) } }

    /// The value of `key`, which is now the one used last.
    @discardableResult
    package mutating func use(_ key: Key) -> Value? {
        guard let place = places[key], let node = nodes[place] else { return nil }
        if place != newest {
            unlink(node)
            link(place)
        }
        return node.value
    }

    /// Puts in a value as the one used last, in place of one that has the key.
    /// - Returns: what had to go, or the value itself when it is larger than the budget; not what it replaces.
    package mutating func insert(_ value: Value, for key: Key, bytes: Int) -> [(key: Key, value: Value)] {
        remove(key)
        guard bytes <= budget else { return [(key, value)] }
        let node = Node(key: key, value: value, bytes: bytes, newer: -1, older: -1)
        let place = free.popLast() ?? nodes.count
        if place == nodes.count { nodes.append(node) } else { nodes[place] = node }
        places[key] = place
        byteCount += bytes
        link(place)
        var gone: [(key: Key, value: Value)] = []
        while byteCount > budget, oldest >= 0, let last = nodes[oldest] {
            gone.append((last.key, last.value))
            remove(last.key)
        }
        return gone
    }

    @discardableResult
    package mutating func remove(_ key: Key) -> Value? {
        guard let place = places.removeValue(forKey: key), let node = nodes[place] else { return nil }
        unlink(node)
        nodes[place] = nil
        free.append(place)
        byteCount -= node.bytes
        return node.value
    }

    /// Makes the node at `place`, which nobody links, the newest.
    private mutating func link(_ place: Int) {
        nodes[place]?.newer = -1
        nodes[place]?.older = newest
        if newest >= 0 { nodes[newest]?.newer = place } else { oldest = place }
        newest = place
    }

    private mutating func unlink(_ node: Node) {
        if node.newer >= 0 { nodes[node.newer]?.older = node.older } else { newest = node.older }
        if node.older >= 0 { nodes[node.older]?.newer = node.newer } else { oldest = node.newer }
    }
}

extension RecentValues: Sendable where Key: Sendable, Value: Sendable {}
extension RecentValues.Node: Sendable where Key: Sendable, Value: Sendable {}
