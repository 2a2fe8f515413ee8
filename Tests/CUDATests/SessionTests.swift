import Foundation
import Generation
import Models
import Support
import Tensors
import TestSupport
import Testing

extension CUDATests {
    @Suite("Sessions on a GPU") struct SessionTests {
        private static let tokens: [Int32] = (0..<30).map { Int32($0 * 13 % 60 + 5) }

        private func logits(_ session: GenerationSession, after tokens: [Int32]) throws -> [Float] {
            for token in tokens { try session.read([token]) }
            return try session.withLogits { Array($0) }
        }

        /// A session that was saved, and one that was forked, go on as the one that they come from.
        @Test(arguments: [DecodingTests.Kind.slotsWithWindow, .keptHeads, .ownMixer, .attention])
        func files(_ kind: DecodingTests.Kind) throws {
            let folder = try TemporaryFolder(inMemory: true), path = "\(folder.path)/a.state"
            let model = try DecodingTests().model(kind).to(.cuda)
            let session = try GenerationSession(model)
            try session.read(Array(Self.tokens[..<17]))
            _ = try logits(session, after: [7, 8, 9])
            let fork = try session.fork()
            try StateFile.write(session, generatorState: 3, to: path)
            let first = try Data(contentsOf: URL(fileURLWithPath: path))
            let restored = try StateFile(path: path, model: model)
            #expect(restored.generatorState == 3 && restored.session.state.position == 20)
            // Saved again at once it is the same file.
            try StateFile.write(restored.session, generatorState: 3, to: path)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first)
            let expected = try logits(session, after: [1, 2, 3])
            #expect(try logits(restored.session, after: [1, 2, 3]) == expected)
            #expect(try logits(fork, after: [1, 2, 3]) == expected)
        }

        /// A prompt that begins as one that was read before goes on from what was kept of it.
        @Test func promptCache() throws {
            let folder = try TemporaryFolder(inMemory: true)
            let model = try DecodingTests().model(.slotsWithWindow).to(.cuda)
            let cache = try PromptCache(folder: "\(folder.path)/cache", limit: 1 << 30) { Issue.record("\($0)") }
            #expect(try cache.session(reading: Self.tokens, model: model).cached == 0)
            let (session, cached) = try cache.session(reading: Self.tokens + [7, 8], model: model)
            #expect(cached == Self.tokens.count && session.state.position == cached + 2)
            let other = try GenerationSession(model)
            try other.read(Self.tokens)
            try other.read([7, 8])
            #expect(try logits(session, after: [1, 2]) == logits(other, after: [1, 2]))
        }
    }
}
