import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing

@Suite("Source families")
struct FamilyTests {
    @Test("folders that transformers 4 has written", arguments: Fixture.families + [.longRope])
    func transformers4(_ fixture: Fixture) throws {
        let folder = try TemporaryFolder(inMemory: true)
        for (name, stored) in [
            ("config.json", "config.transformers4.json"), ("model.safetensors", "model.safetensors"),
        ] {
            try folder.write(name, Data(contentsOf: URL(fileURLWithPath: "\(fixture.path)/\(stored)")))
        }
        let (tokens, expected) = try fixture.expected()
        let logits = try DecoderModel.load(folder.path, as: .float32).logits(tokens)
        #expect(relativeError(try logits.array(), expected) < 2e-5)
    }

    @Test("GGUF files that llama.cpp has written", arguments: (Fixture.families + [.longRope]).filter(\.hasGGUF))
    func gguf(_ fixture: Fixture) throws {
        let (tokens, expected) = try fixture.expected()
        let logits = try DecoderModel.load("\(fixture.path)/model.gguf", as: .float32).logits(tokens)
        #expect(relativeError(try logits.array(), expected) < 2e-5)
    }
}

extension Fixture {
    fileprivate var hasGGUF: Bool { FileManager.default.fileExists(atPath: "\(path)/model.gguf") }
}
