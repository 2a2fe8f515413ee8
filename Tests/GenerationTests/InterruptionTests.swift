import Foundation
import Generation
import TestSupport
import Testing

/// Readings that are stopped at every place where they can be.
@Suite("A reading that is stopped")
struct InterruptionTests {
    private struct Stop: Error {}

    @Test(
        "leaves the state of the segments before, to the last bit",
        arguments: [
            "llama-tied", "mistral-sliding-window", "fla-gsa-hybrid", "moult-gsa", "moult-gsa-window", "moult-hybrid",
        ])
    func segments(_ name: String) throws {
        let model = try tinyModel(name)
        let folder = try TemporaryFolder()
        let tokens = (0..<1100).map { Int32($0 * $0 % 61) }
        /// The bytes of the state after reading, stopped at the `limit`th call.
        func state(_ tokens: [Int32], stop limit: Int = .max) throws -> (bytes: Data, isStopped: Bool, position: Int) {
            let session = try GenerationSession(model)
            var (calls, isStopped) = (0, false)
            do {
                try session.read(tokens) { _, _ in
                    calls += 1
                    if calls == limit { throw Stop() }
                }
            } catch is Stop { isStopped = true }
            let path = "\(folder.path)/\(limit).state"
            try StateFile.write(session, to: path)
            defer { try? FileManager.default.removeItem(atPath: path) }
            return (try Data(contentsOf: URL(fileURLWithPath: path)), isStopped, session.state.position)
        }
        let layers = model.configuration.decoder.layerCount
        // Each segment calls before every layer and at its end; before the second layer of each a layer has read it.
        for segment in 1...2 {
            let expected = try state(Array(tokens.prefix(512 * segment)))
            for call in 1...layers {
                let stopped = try state(tokens, stop: segment * (layers + 1) + call)
                #expect(stopped.isStopped && stopped.position == 512 * segment)
                #expect(stopped.bytes == expected.bytes, "stopped before layer \(call) of segment \(segment)")
            }
        }
        // What was stopped goes on as if it had not been.
        let (whole, session) = (try GenerationSession(model), try GenerationSession(model))
        try whole.read(tokens)
        var calls = 0
        #expect(throws: Stop.self) {
            try session.read(tokens) { _, _ in
                calls += 1
                if calls == 2 * (layers + 1) + 2 { throw Stop() }
            }
        }
        try session.read(Array(tokens[1024...]))
        #expect(try session.withLogits { Array($0) } == whole.withLogits { Array($0) })
    }
}
