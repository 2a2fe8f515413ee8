import Tensors
import Testing

@Suite("Heads taken apart and joined")
struct HeadTests {
    @Test("every set of heads comes back in its place", arguments: [1, 2], [1, 5])
    func roundTrip(_ group: Int, _ width: Int) throws {
        var random = Random(3)
        let x = try random.tensor([2, 3, 4 * group, width])
        for bits in 1..<15 {
            let set = HeadSet((0..<4).filter { bits >> $0 & 1 == 1 })
            let some = try x.heads(set, of: 4)
            #expect(some.shape == [2, 3, set.count * group, width])
            let rest = try x.heads(set.complement(of: 4), of: 4)
            #expect(try some.joined(with: rest, as: set, of: 4).array(Float.self) == x.array(Float.self))
        }
        let second = try x.heads(HeadSet([2]), of: 4).array(Float.self)
        #expect(
            Array(second.prefix(group * width)) == Array(try x.array(Float.self)[2 * group * width..<3 * group * width])
        )
    }

    @Test func gradients() throws {
        var random = Random(4)
        let (x, other, weights) = (
            try random.tensor([1, 5, 6, 3]), try random.tensor([1, 5, 4, 3]), try random.tensor([1, 5, 6, 3])
        )
        let tape = GradientTape(), set = HeadSet([1])
        let (a, b) = (tape.watch(x), tape.watch(other))
        // The picked head of one, twice, and the others of the other.
        let joined = try a.heads(set, of: 3).joined(with: b, as: set, of: 3).adding(a)
        try joined.variable?.add(weights)
        try tape.playBack()
        let found = (try #require(a.gradient).array(Float.self), try #require(b.gradient).array(Float.self))
        let w = try weights.array(Float.self)
        for row in 0..<5 {
            for head in 0..<6 {
                for i in 0..<3 {
                    let at = (row * 6 + head) * 3 + i
                    #expect(found.0[at] == (head / 2 == 1 ? 2 * w[at] : w[at]))
                    if head / 2 != 1 { #expect(found.1[(row * 4 + (head < 2 ? head : head - 2)) * 3 + i] == w[at]) }
                }
            }
        }
    }

    @Test func refusals() throws {
        let x = try Tensor.zeros([1, 2, 6, 4])
        for (set, count) in [
            (HeadSet([]), 3), (HeadSet([3]), 3), (HeadSet([0]), 65), (HeadSet([0]), 4), (HeadSet([0]), 0),
        ] {
            #expect(throws: TensorError.self) { try x.heads(set, of: count) }
        }
        #expect(throws: TensorError.self) {
            try x.heads(HeadSet([0]), of: 3).joined(with: x, as: HeadSet([0]), of: 3)
        }
    }
}
