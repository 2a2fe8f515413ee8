import Checkpoints
import Foundation
import Generation
import Models
import Tensors
import TestSupport
import Testing

@Suite("Sessions")
struct SessionTests {
    @Test(
        "a long prompt is read in segments, and greedy tokens are those of whole sequences",
        arguments: ["llama-tied", "moult-gsa-window"])
    func greedy(_ name: String) throws {
        let model = try tinyModel(name)
        var sequence = (0..<700).map { Int32($0 * 31 % 128) }
        let session = try GenerationSession(model)
        var progress: [Int] = []
        try session.read(sequence) { read, _ in progress.append(read) }
        // Before each of the two layers, and behind each segment.
        #expect(progress == [0, 0, 512, 512, 512, 700])
        var sampler = try Sampler()
        var generated: [Int32] = []
        let count = try session.generate(limit: 5, sampler: &sampler, stops: []) { generated.append($0) }
        #expect(count == 5)
        for token in generated {
            let logits = try model.logits([sequence]).array().suffix(128)
            #expect(logits.indices.max { logits[$0] < logits[$1] }.map { Int32($0 - logits.startIndex) } == token)
            sequence.append(token)
        }
        // The last token is emitted, not read.
        #expect(session.state.position == 704)
    }

    @Test func stops() throws {
        let session = try GenerationSession(try tinyModel("moult-gsa"))
        try session.read([1, 2, 3])
        var sampler = try Sampler()
        let first = try session.pick(&sampler)
        let count = try session.generate(limit: 5, sampler: &sampler, stops: [first]) { _ in }
        #expect(count == 0)
    }

    @Test func emptyPrompt() throws {
        let session = try GenerationSession(try tinyModel("moult-gsa"))
        #expect(throws: GenerationError.emptyPrompt) { try session.read([]) }
        var sampler = try Sampler()
        #expect(throws: GenerationError.emptyPrompt) { try session.pick(&sampler) }
    }

    @Test("memory does not grow with the text where there is only a recurrent state")
    func constantState() throws {
        for (name, grows) in [
            ("moult-gsa-window", false), ("fla-gsa-tied", false), ("mistral-sliding-window", false),
            ("llama-tied", true),
        ] {
            let session = try GenerationSession(try tinyModel(name))
            let tokens = (0..<600).map { Int32($0 % 64) }
            try session.read(tokens)
            let early = session.state.byteCount
            for _ in 0..<4 { try session.read(tokens) }
            #expect((session.state.byteCount > early) == grows, "\(name)")
            let cost = try session.model.configuration.stateCost()
            #expect((cost.perToken > 0) == grows)
            if !grows { #expect(session.state.byteCount == cost.constant) }
        }
    }
}
