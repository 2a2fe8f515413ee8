/// Which element of a smaller tensor goes with element i of a larger one: i / inner mod count.
struct Broadcast: Hashable, Sendable {
    let inner: Int
    let count: Int

    /// Of a tensor of `shape` along one of `whole`: extents that end alike, before them ones or nothing, and behind
    /// them ones. nil for any other shape.
    init?(_ shape: [Int], in whole: [Int]) {
        if shape == whole {
            (inner, count) = (1, whole.reduce(1, *))
            return
        }
        guard shape.count <= whole.count else { return nil }
        let extents = Array(repeating: 1, count: whole.count - shape.count) + shape
        var (inner, count, rest) = (1, 1, whole.count)
        while rest > 0, extents[rest - 1] == 1 {
            rest -= 1
            inner *= whole[rest]
        }
        while rest > 0, extents[rest - 1] == whole[rest - 1] {
            rest -= 1
            count *= whole[rest]
        }
        guard extents[..<rest].allSatisfy({ $0 == 1 }) else { return nil }
        // One number for all is one for every row, so that its gradient is summed by rows.
        if count == 1, let last = whole.last { inner = last }
        (self.inner, self.count) = (inner, count)
    }

    /// - Throws: ``TensorError/shape(operation:argument:expected:found:)`` for a shape that does not go along.
    init(_ shape: [Int], of whole: [Int], _ operation: String, _ argument: @autoclosure () -> String) throws {
        guard let broadcast = Broadcast(shape, in: whole) else {
            throw TensorError.shape(
                operation: operation, argument: argument(),
                expected: "the last extents of \(whole), or the first of them and then ones", found: shape)
        }
        self = broadcast
    }

    /// Whether every one of `elements` has its own.
    func isWhole(of elements: Int) -> Bool { inner == 1 && count == elements }
    /// Whether elements that share one stand together.
    func isWithinRows(of elements: Int) -> Bool { inner * count == elements }

    /// The shape that both go along with: in every place the extent that is not 1. nil where two differ.
    static func shape(of one: [Int], _ other: [Int]) -> [Int]? {
        if one == other { return one }
        var whole = one.count < other.count ? other : one
        let least = one.count < other.count ? one : other
        for (place, extent) in zip(whole.count - least.count..<whole.count, least) where extent != 1 {
            guard whole[place] == 1 || whole[place] == extent else { return nil }
            whole[place] = extent
        }
        return whole
    }
}
