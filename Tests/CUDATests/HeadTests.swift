import Tensors
import Testing

extension CUDATests {
    @Suite("Heads apart and together on a GPU") struct HeadTests {
        @Test(arguments: [
            ([1], 3, 2, 16), ([0, 2], 3, 2, 16), ([0, 1], 2, 1, 20), ([63], 64, 1, 8), (Array(1..<63), 64, 3, 12),
        ]) func heads(_ heads: [Int], _ count: Int, _ group: Int, _ dim: Int) throws {
            let set = HeadSet(heads)
            try expectAgreement("heads \(heads) of \(count)", [.activation(2, 5, count * group, dim)]) {
                [try $0[0].heads(set, of: count)]
            }
            guard set.count < count else { return }
            try expectAgreement(
                "\(heads) joined of \(count)",
                [
                    .activation(2, 5, set.count * group, dim), .activation(2, 5, (count - set.count) * group, dim),
                ]
            ) { [try $0[0].joined(with: $0[1], as: set, of: count)] }
        }

        @Test("what was taken apart is joined to what it was")
        func round() throws {
            let x = try Tensor((0..<48).map { Float($0) }, shape: [1, 2, 6, 4]).converted(to: .bfloat16).to(.cuda)
            let set = HeadSet([0, 2])
            let some = try x.heads(set, of: 3), rest = try x.heads(set.complement(of: 3), of: 3)
            #expect(try doubles(rest) == [8, 9, 10, 11, 12, 13, 14, 15, 32, 33, 34, 35, 36, 37, 38, 39])
            #expect(try doubles(some.joined(with: rest, as: set, of: 3)) == doubles(x))
        }
    }
}
