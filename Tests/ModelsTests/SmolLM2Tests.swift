import Checkpoints
import Foundation
import Models
import Tensors
import Testing
import Tokenizers

/// The real teacher against Hugging Face transformers; see Tools/fixtures/smollm2.py.
@Suite("SmolLM2-135M from its GGUF file")
struct SmolLM2Tests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let model = "\(root)/.models/SmolLM2-135M-Instruct.Q4_1.gguf"

    private func expected(_ name: String) throws -> Tensor {
        try SafetensorsCheckpoint(path: "\(Fixture.root)/smollm2.safetensors").load(name)
    }

    private func rows() throws -> [[Int32]] {
        let tokens = try expected("tokens")
        let ids = try tokens.array(Int64.self).map { Int32($0) }
        return (0..<tokens.shape[0]).map { Array(ids[$0 * tokens.shape[1]..<($0 + 1) * tokens.shape[1]]) }
    }

    @Test("token ids")
    func tokens() throws {
        let tokenizer = try #require(try Tokenizer.load(ModelFiles.open(Self.model)))
        let text = try String(contentsOfFile: "\(Self.root)/LICENSE", encoding: .utf8)
        let expected = try rows().flatMap { $0 }
        #expect(try Array(tokenizer.encode(text, addSpecialTokens: false).prefix(expected.count)) == expected)
        #expect(try tokenizer.decode(tokenizer.encode(text, addSpecialTokens: false)) == text)
    }

    @Test("logits and losses")
    func logits() throws {
        let model = try DecoderModel.load(Self.model)
        let rows = try rows()
        let vocabulary = model.configuration.decoder.vocabularySize
        let all = try model.logits(rows).array()
        var picked: [Float] = []
        for row in rows.indices {
            for position in stride(from: 63, to: rows[row].count, by: 64) {
                let start = (row * rows[row].count + position) * vocabulary
                picked += stride(from: 0, to: vocabulary, by: 16).map { all[start + $0] }
            }
        }
        let logits = try expected("logits").array()
        #expect(zip(picked, logits).reduce(0) { max($0, abs($1.0 - $1.1)) } < 2e-3)

        let losses = try expected("losses").array()
        let found = try model.negativeLogLikelihood(rows)
        #expect(zip(found, losses).reduce(0) { max($0, abs($1.0 - $1.1)) } < 2e-3)
    }

    @Test("decoding with a cache gives the logits of the whole sequence")
    func cache() throws {
        let model = try DecoderModel.load(Self.model)
        let tokens = Array(try rows()[0].prefix(96))
        let whole = try model.logits([tokens]).array()
        let state = try model.makeState()
        var steps = try model.logits([Array(tokens.prefix(80))], state: state).array()
        for token in tokens.dropFirst(80) { steps += try model.logits([[token]], state: state).array() }
        #expect(zip(steps, whole).reduce(0) { max($0, abs($1.0 - $1.1)) } < 2e-3)
    }
}
