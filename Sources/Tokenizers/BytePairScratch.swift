/// Memory that encoding words reuses.
struct BytePairScratch {
    /// Words with more symbols than this are merged with a heap.
    static let longWord = 48
    /// The absence of a merge.
    static let none = MergeTable.Merge(rank: .max, id: -1)

    /// A merge that was possible when it was put on the heap.
    struct Candidate {
        var rank: UInt32
        var position: Int

        func precedes(_ other: Candidate) -> Bool {
            rank != other.rank ? rank < other.rank : position < other.position
        }
    }

    var symbols: [Int32] = []
    var merges: [MergeTable.Merge] = []
    var heap: [Candidate] = []
    var previous: [Int] = []
    var next: [Int] = []

    mutating func push(_ candidate: Candidate) {
        heap.append(candidate)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Candidate? {
        guard let top = heap.first, let last = heap.popLast() else { return nil }
        if heap.isEmpty { return top }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return top
    }
}

extension BytePairEncoder {
    /// Keeps the possible merges on a heap and the symbols in a linked list: n log n for a word of n symbols.
    func mergeLong(_ scratch: inout BytePairScratch) {
        let count = scratch.symbols.count
        scratch.heap.removeAll(keepingCapacity: true)
        scratch.previous = Array(-1..<(count - 1))
        scratch.next = Array(1..<count) + [-1]
        for position in 0..<(count - 1) { pushMerge(at: position, &scratch) }
        while let top = scratch.pop() {
            let position = top.position
            let right = scratch.next[position]
            // Stale when either symbol has been merged since.
            guard right >= 0, scratch.symbols[position] >= 0,
                let merge = merges[scratch.symbols[position], scratch.symbols[right]], merge.rank == top.rank
            else { continue }
            scratch.symbols[position] = merge.id
            scratch.symbols[right] = -1
            let following = scratch.next[right]
            scratch.next[position] = following
            if following >= 0 { scratch.previous[following] = position }
            if scratch.previous[position] >= 0 { pushMerge(at: scratch.previous[position], &scratch) }
            pushMerge(at: position, &scratch)
        }
        scratch.symbols.removeAll { $0 < 0 }
    }

    private func pushMerge(at position: Int, _ scratch: inout BytePairScratch) {
        let right = scratch.next[position]
        guard right >= 0, let merge = merges[scratch.symbols[position], scratch.symbols[right]] else { return }
        scratch.push(.init(rank: merge.rank, position: position))
    }
}
