import Foundation
import Generation
import Tensors
import Testing

@Suite("Sampling")
struct SamplerTests {
    private let logits: [Float] = [0.5, 3, -2, 2.5, 0, 1, -30]

    private func frequencies(_ sampler: Sampler, draws: Int = 40_000) throws -> [Double] {
        var sampler = sampler
        let tensor = try Tensor(logits, shape: [logits.count])
        var counts = [Double](repeating: 0, count: logits.count)
        for _ in 0..<draws { counts[Int(try sampler.sample(tensor))] += 1 }
        return counts.map { $0 / Double(draws) }
    }

    private func probabilities(temperature: Double, kept: Set<Int>) -> [Double] {
        let weights = logits.enumerated().map { kept.contains($0.offset) ? exp(Double($0.element) / temperature) : 0 }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    @Test func greedy() throws {
        var sampler = try Sampler()
        #expect(try sampler.sample(Tensor(logits, shape: [7])) == 1)
    }

    @Test("frequencies follow softmax, temperature, top-k and top-p")
    func distribution() throws {
        let all = Set(logits.indices)
        let cases: [(Sampler, [Double])] = [
            (try Sampler(temperature: 1), probabilities(temperature: 1, kept: all)),
            (try Sampler(temperature: 0.5, seed: 3), probabilities(temperature: 0.5, kept: all)),
            (try Sampler(temperature: 2, topK: 3), probabilities(temperature: 2, kept: [1, 3, 5])),
            // exp(3), exp(2.5) hold 0.53 and 0.32 of the mass: 0.6 needs both.
            (try Sampler(temperature: 1, topP: 0.6), probabilities(temperature: 1, kept: [1, 3])),
            (try Sampler(temperature: 1, topP: 0.0001), probabilities(temperature: 1, kept: [1])),
            (try Sampler(temperature: 1, topK: 100), probabilities(temperature: 1, kept: all)),
        ]
        for (sampler, expected) in cases {
            for (found, wanted) in zip(try frequencies(sampler), expected) { #expect(abs(found - wanted) < 0.012) }
        }
    }

    @Test func seeds() throws {
        func draws(_ seed: UInt64) throws -> [Int32] {
            var sampler = try Sampler(temperature: 1, seed: seed)
            return try (0..<50).map { _ in try sampler.sample(Tensor(logits, shape: [7])) }
        }
        #expect(try draws(1) == draws(1))
        #expect(try draws(1) != draws(2))
    }

    @Test func refusals() throws {
        #expect(throws: GenerationError.self) { try Sampler(temperature: -1) }
        #expect(throws: GenerationError.self) { try Sampler(temperature: .nan) }
        #expect(throws: GenerationError.self) { try Sampler(topP: 0) }
        #expect(throws: GenerationError.self) { try Sampler(topP: .nan) }
        #expect(throws: GenerationError.self) { try Sampler(topK: 0) }
        for bad in [Float.nan, .infinity] {
            var sampler = try Sampler()
            #expect(throws: GenerationError.nonFiniteLogits) { try sampler.sample(Tensor([1, bad], shape: [2])) }
        }
    }
}
