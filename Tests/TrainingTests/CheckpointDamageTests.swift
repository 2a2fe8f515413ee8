import Checkpoints
import Foundation
import Support
import TestSupport
import Testing
import Training

@Suite("A checkpoint's state.json is covered by a hash, and its numbers are bounded")
struct CheckpointDamageTests {
    private let run: TinyRun
    private var path: String { "run/checkpoints/step-00000004/state.json" }

    /// A run that was stopped behind its fourth step, with checkpoints of the second and the fourth.
    init() throws {
        run = try TinyRun("align=256")
        run.configuration.checkpoints.every = 2
        try run.train("run", stop: 6)
    }

    /// Goes on until the run has begun.
    /// - Returns: the step that it goes on from, and the warnings.
    private func resume() throws -> (step: Int, warnings: [String]) {
        let record = try run.train("run", resuming: true, stop: 0)
        let done = record.events.compactMap { if case .started(let done, _) = $0 { done } else { nil } }.first
        return (try #require(done), record.warnings)
    }

    @Test("any bit of it")
    func bits() throws {
        let whole = try run.bytes(path)
        #expect(try resume() == (4, []))
        for bit in stride(from: 0, to: 8 * whole.count, by: 11) {
            var damaged = whole
            damaged[damaged.startIndex + bit / 8] ^= 1 << (bit % 8)
            try run.folder.write(path, damaged)
            let (step, warnings) = try resume()
            #expect(step == 2 && warnings.count == 1 && warnings[0].contains("state.json: damaged"), "bit \(bit)")
        }
        try run.folder.write(path, whole)
        #expect(try resume() == (4, []))
    }

    /// state.json as version 1 wrote it, without a hash of its own.
    private func first(_ change: (inout JSONObject) -> Void) throws -> String {
        var json = try #require(try JSONValue(file: run.path(path)).objectValue)
        json["version"] = 1
        json["hash"] = nil
        var state = try #require(json["state"]?.objectValue)
        change(&state)
        json["state"] = .object(state)
        return JSONValue.object(json).text(indented: true) + "\n"
    }

    @Test("of version 1, unless a number in it is none of this run's")
    func numbers() throws {
        let sound = try first { _ in }
        try run.folder.write(path, sound)
        #expect(try resume() == (4, []))
        let values: [JSONValue] = [
            .integer(.max), .integer(.min), .integer(-1), .integer(1 << 40), .number(1e308), .number(0.5), .null, "4",
            [],
        ]
        for key in ["stage", "stage_step", "step", "rows", "tokens", "skipped", "skipped_in_a_row"] {
            for value in values {
                let text = try first { $0[key] = value }
                // The next change begins with what is sound.
                defer { _ = try? run.folder.write(path, sound) }
                try run.folder.write(path, text)
                let (step, warnings) = try resume()
                #expect(step == 2 && warnings.count == 1 && warnings[0].contains("damaged"), "\(key) \(value)")
            }
        }
    }
}
