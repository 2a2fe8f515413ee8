import Generation
import Tensors
import TestSupport
import Testing

@Suite("Choices from the vocabularies of published models", .timeLimit(.minutes(2)))
struct VocabularySamplerTests {
    /// Distinct logits in no order, the largest of which is the last token's.
    private func logits(_ count: Int) -> [Float] {
        // The factor is a prime that divides no vocabulary: places go through all ranks.
        var logits = (0..<count).map { Float($0 * 7919 % count) / Float(count) * 12 }
        logits[count - 1] = 12.5
        return logits
    }

    @Test("are cut as by sorting them", arguments: ModelShape.vocabularies)
    func cuts(_ count: Int) throws {
        let logits = logits(count), order = logits.indices.sorted { logits[$0] > logits[$1] }
        let tensor = try Tensor(logits, shape: [count])
        var greedy = try Sampler()
        #expect(try greedy.sample(tensor) == Int32(count - 1))
        for kept in [1, 40, 5000] {
            var sampler = try Sampler(temperature: 1, topK: kept)
            let found = try sampler.distribution(tensor).map(\.token)
            #expect(found == order.prefix(kept).sorted().map(Int32.init), "top-k \(kept)")
            #expect(try order.prefix(kept).contains(Int(sampler.sample(tensor))))
        }
        var whole = try Sampler(temperature: 1)
        let all = try whole.distribution(tensor)
        #expect(all.count == count && abs(all.reduce(0) { $0 + $1.probability } - 1) < 1e-4)
        var nucleus = try Sampler(temperature: 1, topP: 0.5)
        let held = try nucleus.distribution(tensor).map(\.token)
        #expect(held == order.prefix(held.count).sorted().map(Int32.init) && held.count < count / 2)
    }
}
