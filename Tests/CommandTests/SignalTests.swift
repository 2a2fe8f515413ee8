import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite("Signals", .serialized, .timeLimit(.minutes(5)))
struct SignalTests {
    /// A run of many steps.
    private func longRun(_ place: TinyWorkplace, _ output: String) -> [String] {
        [
            "train", place.model, "--teacher", place.teacher, "--data", place.text, "--output",
            "\(place.path)/\(output)",
            "--stages", "align=10M", "--length", "16",
        ]
    }

    private func stream(_ place: TinyWorkplace, _ more: String...) -> [String] {
        ["generate", place.model, "--stream", "--max-tokens", "1", "--save-state", "\(place.path)/a.state"] + more
    }

    private func tokens(_ place: TinyWorkplace) throws -> Double {
        let json = try MoultProcess(
            "generate", place.model, "--load-state", "\(place.path)/a.state", "--max-tokens", "0", "--json"
        ).json()
        return json["context"]?.doubleValue ?? 0
    }

    private let words = Data(String(repeating: "The fox jumps over the dog. ", count: 400).utf8)

    @Test("a command that has nothing to save ends at the first", arguments: [SIGINT, SIGTERM, SIGHUP])
    func first(_ signal: Int32) throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(
            ["generate", place.model, "--stream", "--every", "4", "--max-tokens", "1"], hasInput: true)
        process.write(words)
        process.waitForOutput()
        process.signal(signal)
        #expect(process.waitForEnd() == 128 + signal)
    }

    @Test("a stream saves what it has read", arguments: [SIGINT, SIGTERM, SIGHUP])
    func saves(_ signal: Int32) throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(stream(place, "--every", "512"), hasInput: true)
        process.write(words)
        process.waitForOutput()
        process.signal(signal)
        #expect(process.waitForEnd() == 128 + signal)
        #expect(try tokens(place) >= 512)
    }

    @Test("training saves and says how to go on", arguments: [SIGINT, SIGTERM, SIGHUP])
    func training(_ signal: Int32) throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(longRun(place, "run"))
        process.wait { place.exists("run/metrics.jsonl") }
        process.signal(signal)
        let result = process.finish()
        #expect(result.status == 128 + signal)
        #expect(result.error.contains("moult train --resume --output \(place.path)/run"), "\(result.error)")
    }

    @Test("a second ends the program at once, before anything is saved")
    func second() throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(stream(place, "--every", "512"), hasInput: true)
        process.write(words)
        process.waitForOutput()
        // Both arrive together, and so before the first can be noticed.
        process.signal(SIGSTOP)
        process.signal(SIGINT)
        process.signal(SIGTERM)
        process.signal(SIGCONT)
        #expect([128 + SIGINT, 128 + SIGTERM].contains(process.waitForEnd()))
        #expect(!place.exists("a.state"))
    }

    @Test("one that is ignored from the start stays ignored")
    func ignored() throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(
            ["-c", "trap '' HUP; exec \"$0\" \"$@\"", MoultProcess.executable.path]
                + ["generate", place.model, "--stream", "--every", "4", "--max-tokens", "1"],
            executable: "/bin/sh", hasInput: true)
        process.write(words.prefix(512))
        process.waitForOutput()
        process.signal(SIGHUP)
        process.write(words.prefix(512))
        #expect(process.finish().status == 0)
    }

    @Test("a conversation: Ctrl-C forgets the question, SIGTERM ends it")
    func chat() throws {
        let place = try TinyWorkplace()
        let arguments = ["chat", place.model, "--max-tokens", "100000", "--temperature", "1"]
        for signal in [SIGTERM, SIGHUP, SIGINT] {
            let process = try RunningMoult(arguments, hasInput: true)
            process.write(Data("The fox\n".utf8))
            process.waitForOutput()
            if signal == SIGINT { process.insist(signal) } else { process.signal(signal) }
            #expect(process.waitForEnd() == 128 + signal)
        }
        let process = try RunningMoult(arguments, hasInput: true)
        process.write(Data("The fox\n".utf8))
        process.waitForOutput()
        process.signal(SIGINT)
        process.write(Data("/stats\n/quit\n".utf8))
        let result = process.finish()
        #expect(result.status == 0 && result.error.contains("main: 2 messages"), "\(result.error)")
    }

    @Test("a stream whose reader goes away saves what it has read")
    func readerGone() throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(stream(place, "--every", "64"), hasInput: true)
        process.write(words)
        process.waitForOutput()
        process.closeOutput()
        process.write(words)
        let result = process.finish()
        #expect(result.status == 141 && result.error.isEmpty, "\(result.error)")
        #expect(try tokens(place) >= 64)
    }

    @Test("a stream saves on its way, and a kill leaves the last state")
    func saveEvery() throws {
        let place = try TinyWorkplace()
        let process = try RunningMoult(stream(place, "--save-every", "512"), hasInput: true)
        process.write(words)
        process.wait { place.exists("a.state") }
        process.signal(SIGKILL)
        _ = process.waitForEnd()
        #expect(try tokens(place) >= 512)
        let refused = try MoultProcess("generate", place.model, "--prompt", "x", "--save-every", "5")
        #expect(refused.status == 64 && refused.error.contains("--save-every: expected together with --stream"))
        let zero = try MoultProcess(arguments: stream(place, "--save-every", "0"))
        #expect(zero.status == 64 && zero.error.contains("--save-every: expected 1 or more, found 0"))
    }
}
