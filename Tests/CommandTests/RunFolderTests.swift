import Foundation
import TestSupport
import Testing

@Suite("The folder of a run", .serialized)
struct RunFolderTests {
    private let place: TinyModel
    private let model: String

    init() throws {
        place = try TinyModel()
        model = try place.converted()
    }

    /// Expects one line with all of `parts`.
    private func expectRefusal(
        _ result: MoultProcess, _ parts: String..., location: SourceLocation = #_sourceLocation
    ) {
        #expect(result.status != 0 && result.status < 128, sourceLocation: location)
        let lines = result.error.split(separator: "\n")
        #expect(lines.count == 1 && lines[0].hasPrefix("Error: "), "\(result.error)", sourceLocation: location)
        for part in parts { #expect(result.error.contains(part), "\(result.error)", sourceLocation: location) }
    }

    private func train(_ output: String, data: String) throws -> MoultProcess {
        try MoultProcess(
            "train", model, "--teacher", place.teacher, "--data", data, "--output", "\(place.path)/\(output)",
            "--length",
            "16")
    }

    @Test("a start that fails leaves what was there as it was")
    func failedStart() throws {
        let empty = try place.write("empty.txt", "")
        // Nothing, and no folder above.
        expectRefusal(try train("a/b/run", data: empty), "empty.txt")
        #expect(!place.exists("a"))
        // An empty folder of the user's.
        try FileManager.default.createDirectory(atPath: "\(place.path)/b", withIntermediateDirectories: false)
        expectRefusal(try train("b", data: empty), "empty.txt")
        #expect(place.exists("b") && place.contents("b") == [])
        // A folder with what an earlier preparation has left, and the user's file beside it.
        try place.write("c/tokens/precious.txt", "precious")
        expectRefusal(try train("c", data: empty), "empty.txt")
        #expect(
            place.contents("c").contains("tokens/precious.txt") && place.text("c/tokens/precious.txt") == "precious")
        // The user's folder with the user's files.
        try place.write("d/precious.txt", "precious")
        expectRefusal(try train("d", data: empty), "something there already")
        #expect(place.contents("d") == ["precious.txt"])
        // A file, and a folder below a file.
        try place.write("e", "precious")
        expectRefusal(try train("e", data: place.text), "something there already")
        expectRefusal(try train("e/run", data: place.text), "\(place.path)/e/run", "Not a directory")
        #expect(place.text("e") == "precious")
    }

    @Test("one process at a time trains in it, and the other is told which")
    func lock() throws {
        #expect(try MoultProcess(arguments: place.longRun(model, "whole")).status == 0)
        let first = try RunningMoult(place.longRun(model, "run"))
        first.wait { place.exists("run/.lock") }
        // The second of two that begin.
        first.wait { place.text("run/.lock")?.isEmpty == false }
        // It stands still meanwhile, so that it cannot end first.
        first.signal(SIGSTOP)
        expectRefusal(
            try MoultProcess(arguments: place.longRun(model, "run")), "\(place.path)/run",
            "process \(first.identifier) on ",
            " since 20")
        first.signal(SIGCONT)
        first.wait { place.exists("run/checkpoints") }
        first.signal(SIGSTOP)
        let resume = ["train", "--resume", "--output", "\(place.path)/run"]
        expectRefusal(try MoultProcess(arguments: resume), "process \(first.identifier) on ")
        first.signal(SIGKILL)
        #expect(first.finish().status != 0)
        // The lock has ended with its process.
        let last = try MoultProcess(arguments: resume)
        #expect(last.status == 0, "\(last.error)")
        #expect(try place.bytes("run/student/model.safetensors") == place.bytes("whole/student/model.safetensors"))
        #expect(try place.bytes("run/best/model.safetensors") == place.bytes("whole/best/model.safetensors"))
    }

    @Test("what somebody put beside the models and checkpoints stays")
    func additions() throws {
        let run = try RunningMoult(place.longRun(model, "run"))
        run.wait { place.exists("run/best/model.safetensors") }
        run.signal(SIGKILL)
        _ = run.finish()
        try place.write("run/best/notes.txt", "precious")
        try place.write("run/best/adapter.safetensors", "precious")
        let steps = place.contents("run/checkpoints").filter { $0.hasPrefix("step-") && !$0.contains("/") }
        let step = try #require(steps.last)
        try place.write("run/checkpoints/\(step)/notes.txt", "precious")
        try place.write("run/checkpoints/step-1/notes.txt", "precious")
        let last = try MoultProcess("train", "--resume", "--output", "\(place.path)/run")
        #expect(last.status == 0, "\(last.error)")
        for name in [
            "best/notes.txt", "best/adapter.safetensors", "checkpoints/\(step)/notes.txt",
            "checkpoints/step-1/notes.txt",
        ] {
            #expect(place.text("run/\(name)") == "precious", "\(name)")
        }
        // A link in the place of a model is neither followed nor replaced.
        try FileManager.default.removeItem(atPath: "\(place.path)/run/best")
        try place.write("elsewhere/notes.txt", "precious")
        #expect(symlink("../elsewhere", "\(place.path)/run/best") == 0)
        expectRefusal(
            try MoultProcess("train", "--resume", "--output", "\(place.path)/run"), "run/best", "a link", "move it")
        #expect(place.contents("elsewhere") == ["notes.txt"])
    }
}
