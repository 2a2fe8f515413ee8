import Tensors
import Testing

@Suite("Keys and values held in fewer bits") struct HeldRowsTests {
    private let rows = 7, heads = 3, dim = 20

    private func values() throws -> Tensor {
        var random = Random(5)
        return try random.tensor([rows, heads, dim])
    }

    @Test("are as near as their bits allow", arguments: zip(CacheType.allCases, [0, 0x1p-7, 0x1p-7]))
    func error(_ type: CacheType, _ limit: Double) throws {
        let x = try values()
        var held = try HeldRows(type, rows: 9, heads: heads, dim: dim)
        try held.replace(at: 1, with: x)
        let found = try doubles(held.rows(1..<8)), expected = try doubles(x)
        for row in 0..<rows * heads {
            let range = row * dim..<(row + 1) * dim
            let most = expected[range].map(abs).max() ?? 0
            for index in range { #expect(abs(found[index] - expected[index]) <= limit / 2 * most * 1.02) }
        }
        #expect(try doubles(held.rows(0..<1)).allSatisfy { $0 == 0 })
        #expect(held.byteCount == 9 * heads * type.byteCount(dim: dim))
    }

    @Test("codes by hand")
    func codes() throws {
        var held = try HeldRows(.codes, rows: 1, heads: 2, dim: 4)
        try held.replace(at: 0, with: Tensor([127, -63.4, 0.6, 0, 0, 0, 0, 0] as [Float], shape: [1, 2, 4]))
        #expect(try held.rows(0..<1).array() == [127, -63, 1, 0, 0, 0, 0, 0])
        let broken: [Float] = [.nan, 1, 2, 3, 1, -.infinity, 2, 3]
        try held.replace(at: 0, with: Tensor(broken, shape: [1, 2, 4]))
        let found = try held.rows(0..<1).array()
        #expect(found.prefix(4).allSatisfy(\.isNaN) && found.suffix(4).allSatisfy { $0 == .infinity })
    }

    @Test("held again they are the same to the bit, and growing keeps them", arguments: CacheType.allCases)
    func again(_ type: CacheType) throws {
        var held = try HeldRows(type, rows: rows, heads: heads, dim: dim)
        try held.replace(at: 0, with: values())
        let once = try held.rows(0..<rows)
        var other = try HeldRows(type, rows: rows, heads: heads, dim: dim)
        try other.replace(at: 0, with: once)
        #expect(try other.rows(0..<rows).array() == once.array())
        let grown = try held.grown(to: 30, keeping: 5)
        #expect(try grown.rows(0..<5).array() == once.rows(0..<5).array() && grown.shape == [30, heads, dim])
    }
}
