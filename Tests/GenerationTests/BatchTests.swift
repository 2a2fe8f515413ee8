import Foundation
import Generation
import Models
import Tensors
import Testing

@Suite("Batches")
struct BatchTests {
    private func model(_ name: String) throws -> DecoderModel {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return try DecoderModel.load(tests.appendingPathComponent("ModelsTests/Fixtures/\(name)").path, as: .float32)
    }

    private func run(_ batch: BatchGenerator) throws -> [Int: (tokens: [Int32], reason: BatchGenerator.FinishReason?)] {
        var results: [Int: (tokens: [Int32], reason: BatchGenerator.FinishReason?)] = [:]
        while !batch.isEmpty {
            for event in try batch.advance() {
                switch event {
                case .token(let id, let token): results[id, default: ([], nil)].tokens.append(token)
                case .finished(let id, let reason): results[id, default: ([], nil)].reason = reason
                }
            }
        }
        return results
    }

    @Test(
        "requests of all lengths give what a session of their own gives",
        arguments: ["llama-tied", "moult-gsa-window", "fla-gsa-hybrid"])
    func equalsSessions(_ name: String) throws {
        let model = try model(name)
        let prompts = [3, 600, 40, 1, 17, 513, 9].enumerated().map { index, length in
            (0..<length).map { Int32(($0 * 31 + index * 11) % 64) }
        }
        let batch = try BatchGenerator(model, capacity: 3)
        for (index, prompt) in prompts.enumerated() {
            let sampler = try Sampler(temperature: index % 2 == 0 ? 0 : 0.9, seed: UInt64(index))
            #expect(try batch.add(.init(prompt: prompt, sampler: sampler, limit: 4 + 5 * index)) == index)
        }
        #expect(batch.count == prompts.count)
        let results = try run(batch)
        for (index, prompt) in prompts.enumerated() {
            let session = try GenerationSession(model)
            try session.read(prompt)
            var sampler = try Sampler(temperature: index % 2 == 0 ? 0 : 0.9, seed: UInt64(index))
            var expected: [Int32] = []
            try session.generate(limit: 4 + 5 * index, sampler: &sampler, stops: []) { expected.append($0) }
            #expect(results[index]?.tokens == expected, "request \(index)")
            #expect(results[index]?.reason == .limit)
        }
    }

    @Test func stopsAndCancels() throws {
        let model = try model("moult-gsa-window")
        let session = try GenerationSession(model)
        try session.read([5, 6, 7])
        var sampler = try Sampler()
        var expected: [Int32] = []
        try session.generate(limit: 6, sampler: &sampler, stops: []) { expected.append($0) }
        let batch = try BatchGenerator(model, capacity: 2)
        let stop = expected[3], before = expected.firstIndex(of: stop) ?? 0
        let first = try batch.add(.init(prompt: [5, 6, 7], sampler: try Sampler(), limit: 50, stops: [stop]))
        let cancelled = try batch.add(.init(prompt: [9], sampler: try Sampler(), limit: 1000))
        let queued = try batch.add(.init(prompt: [9], sampler: try Sampler(), limit: 1000))
        _ = try batch.advance()
        batch.cancel(cancelled)
        batch.cancel(queued)
        batch.cancel(99)
        let results = try run(batch)
        #expect(results[first]?.reason == .stop)
        #expect(results[first]?.tokens.count ?? 0 <= before)
        #expect(results[cancelled]?.reason == nil)
    }

    @Test func refusals() throws {
        let batch = try BatchGenerator(try model("moult-gsa"), capacity: 2)
        #expect(throws: GenerationError.emptyPrompt) {
            try batch.add(.init(prompt: [], sampler: try Sampler(), limit: 1))
        }
        #expect(throws: GenerationError.self) { try batch.add(.init(prompt: [1], sampler: try Sampler(), limit: 0)) }
        #expect(throws: ModelError.self) { try batch.add(.init(prompt: [-4], sampler: try Sampler(), limit: 1)) }
        #expect(batch.isEmpty)
        #expect(try batch.advance().isEmpty)
    }
}
