import Foundation
import Generation
import Support
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
            // Of the largest, 2.5 keeps exp(-0.5) = 0.61 and 1 keeps exp(-2) = 0.14.
            (try Sampler(temperature: 1, minP: 0.2), probabilities(temperature: 1, kept: [1, 3])),
            (try Sampler(temperature: 2, minP: 0.2), probabilities(temperature: 2, kept: [0, 1, 3, 4, 5])),
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

    @Test("large vocabularies are cut as by sorting them", arguments: [0.05, 1, 4, 1000] as [Float])
    func large(spread: Float) throws {
        var generator = SplitMix64(seed: 9)
        // Rounded, so that there are ties.
        let logits = (0..<20_011).map { _ in
            Float((generator.uniform() + generator.uniform() - 1) * 1000).rounded() / 1000 * spread
        }
        let order = logits.sorted(by: >)
        let tensor = try Tensor(logits, shape: [logits.count])
        let weights = logits.map { exp(Double($0 - order[0])) }
        func check(_ sampler: Sampler, from threshold: Float, _ what: String) throws {
            var sampler = sampler
            let found = try sampler.distribution(tensor)
            let wanted = logits.indices.filter { logits[$0] >= threshold }
            try #require(found.map(\.token) == wanted.map { Int32($0) }, "\(what), spread \(spread)")
            let mass = wanted.reduce(0) { $0 + weights[$1] }
            for (entry, place) in zip(found, wanted) {
                #expect(abs(entry.probability - weights[place] / mass) < 1e-5 * weights[place] / mass + 1e-12)
            }
            for _ in 0..<20 { #expect(logits[Int(try sampler.sample(tensor))] >= threshold) }
        }
        for topK in [1, 2, 50, 127, 128, 129, 5000, 20_010, 20_011, 30_000] {
            try check(
                Sampler(temperature: 1, topK: topK), from: order[min(topK, order.count) - 1], "top-k \(topK)")
        }
        for topP in [0.001, 0.3, 0.9, 0.999] as [Float] {
            let target = weights.reduce(0, +) * Double(topP)
            var (held, last) = (0.0, 0)
            while held < target {
                held += exp(Double(order[last] - order[0]))
                last += 1
            }
            // Float32 weights may put the last few ties on either side of the target, so it must not lie close to one.
            try check(Sampler(temperature: 1, topP: topP), from: order[last - 1], "top-p \(topP)")
        }
    }

    @Test("the same tokens and probabilities as transformers' logits processors")
    func transformers() throws {
        let fixture = try SamplingFixture.load()
        let logits = try Tensor(fixture.logitValues, shape: [fixture.logitValues.count])
        #expect(fixture.cases.count >= 17)
        for (index, expected) in fixture.cases.enumerated() {
            var sampler = Sampler(try expected.options())
            let found = try sampler.distribution(logits, after: fixture.history[...])
            #expect(found.map(\.token) == expected.kept, "case \(index)")
            for (entry, probability) in zip(found, expected.probabilities) {
                #expect(abs(entry.probability - probability) <= 2e-5 * probability, "case \(index), \(entry.token)")
            }
        }
    }

    @Test("bias and penalty also steer the most likely token")
    func greedyAdjusted() throws {
        let tensor = try Tensor(logits, shape: [7])
        var biased = Sampler(try SamplingOptions(logitBias: [2: 10]))
        #expect(try biased.sample(tensor) == 2)
        var forbidden = Sampler(try SamplingOptions(logitBias: [1: -.infinity]))
        #expect(try forbidden.sample(tensor) == 3)
        var penalised = Sampler(try SamplingOptions(repetitionPenalty: 2, repetitionWindow: 2))
        #expect(try penalised.sample(tensor, after: [1, 1]) == 3)
        // Out of the window, and ids that are none, change nothing.
        #expect(try penalised.sample(tensor, after: [1, 5, 6, -4, 900]) == 1)
        var outside = Sampler(try SamplingOptions(logitBias: [7: 1]))
        #expect(throws: GenerationError.self) { try outside.sample(tensor) }
    }

    @Test("a forbidden token is never sampled")
    func forbidden() throws {
        var sampler = Sampler(try SamplingOptions(logitBias: [1: -.infinity], temperature: 2))
        let tensor = try Tensor(logits, shape: [7])
        for _ in 0..<5000 { #expect(try sampler.sample(tensor) != 1) }
    }

    @Test func refusals() throws {
        #expect(throws: GenerationError.self) { try Sampler(temperature: -1) }
        #expect(throws: GenerationError.self) { try Sampler(temperature: .nan) }
        #expect(throws: GenerationError.self) { try Sampler(topP: 0) }
        #expect(throws: GenerationError.self) { try Sampler(topP: .nan) }
        #expect(throws: GenerationError.self) { try Sampler(topK: 0) }
        for minP in [-0.1, 1.1, .nan] as [Float] {
            #expect(throws: GenerationError.self) { try Sampler(minP: minP) }
        }
        for penalty in [0, -1, .nan, .infinity] as [Float] {
            #expect(throws: GenerationError.self) { try SamplingOptions(repetitionPenalty: penalty) }
        }
        for window in [-1, 4097] {
            #expect(throws: GenerationError.self) { try SamplingOptions(repetitionWindow: window) }
        }
        for bias in [[-1: 0], [1: .nan], [1: .infinity]] as [[Int32: Float]] {
            #expect(throws: GenerationError.self) { try SamplingOptions(logitBias: bias) }
        }
        var empty = try Sampler()
        #expect(throws: GenerationError.nonFiniteLogits) { try empty.sample(Tensor([Float](), shape: [0])) }
        for bad in [Float.nan, .infinity, -.infinity] {
            var sampler = try Sampler()
            #expect(throws: GenerationError.nonFiniteLogits) { try sampler.sample(Tensor([1, bad], shape: [2])) }
        }
    }
}
