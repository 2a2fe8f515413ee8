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
