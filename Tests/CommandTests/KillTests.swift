import Foundation
import TestSupport
import Testing

/// Commands that write, killed at any moment: what has its name is whole, the next run succeeds, and nothing is left over.
@Suite("Killed while it writes", .serialized)
struct KillTests {
    private let place: TinyModel
    init() throws { place = try TinyModel() }

    private let moments = 8

    /// Runs `arguments` once to its end, and then as often as there are moments, killed at each; `check` looks at what is
    /// there then.
    private func kill(_ arguments: () -> [String], _ check: (Int) throws -> Void) throws {
        let start = ContinuousClock.now
        #expect(try MoultProcess(arguments: arguments()).status == 0)
        let microseconds = start.duration(to: .now) / .microseconds(1)
        for moment in 0..<moments {
            let process = try RunningMoult(arguments())
            // The first hundredths of a second are the program's start, the last those of its end.
            usleep(UInt32(microseconds * (0.3 + 0.7 * Double(moment) / Double(moments))))
            process.signal(SIGKILL)
            _ = process.finish()
            try check(moment)
        }
    }

    private var leftovers: [String] {
        place.contents("").filter { $0.contains(".partial") || $0.contains(".previous") }
    }

    @Test("convert and quantize", arguments: [["convert"], ["quantize", "--bits", "4"]])
    func models(_ command: [String]) throws {
        var number = 0
        try kill({
            number += 1
            return [command[0], place.teacher, "--output", "\(place.path)/a/\(number)"] + command.dropFirst()
        }) { _ in
            guard place.exists("a/\(number)") else { return }
            let measured = try MoultProcess(
                "perplexity", "\(place.path)/a/\(number)", "--data", place.text, "--limit", "1")
            #expect(measured.status == 0, "\(measured.error)")
        }
        let last = try MoultProcess(
            arguments: [command[0], place.teacher, "--output", "\(place.path)/a/last"] + command.dropFirst())
        #expect(last.status == 0 && leftovers == [], "\(last.error)")
        for file in try FileManager.default.contentsOfDirectory(atPath: "\(place.path)/a/last")
        // The card has the folder's name, and moult.json the card's hash.
        where file != "README.md" && file != "moult.json" {
            #expect(try place.bytes("a/last/\(file)") == place.bytes("a/1/\(file)"), "\(file)")
        }
    }

    @Test("a state that is saved over and over")
    func states() throws {
        let state = "\(place.path)/book.state"
        func load() throws -> MoultProcess {
            try MoultProcess("generate", place.teacher, "--load-state", state, "--max-tokens", "1")
        }
        try kill({
            ["generate", place.teacher, "--prompt", "The fox", "--max-tokens", "2", "--save-state", state, "--force"]
        }) { _ in
            let loaded = try load()
            #expect(loaded.status == 0, "\(loaded.error)")
        }
        let last = try MoultProcess(
            "generate", place.teacher, "--prompt", "x", "--max-tokens", "1", "--save-state", state, "--force")
        #expect(last.status == 0 && leftovers == [], "\(last.error)")
        #expect(try load().status == 0)
    }

    @Test("a prompt cache")
    func cache() throws {
        let command = [
            "generate", place.teacher, "--prompt", String(repeating: "The fox jumps. ", count: 40), "--max-tokens", "1",
            "--prompt-cache", "\(place.path)/cache",
        ]
        try kill({ command }) { _ in
            for name in place.contents("cache") where name.hasSuffix(".moult-state") && !name.hasPrefix(".") {
                try FileManager.default.removeItem(atPath: "\(place.path)/cache/\(name)")
            }
        }
        let last = try MoultProcess(arguments: command)
        #expect(last.status == 0 && !last.error.contains("warning") && leftovers == [], "\(last.error)")
    }

    @Test("a run")
    func train() throws {
        let model = try place.converted()
        let whole = try MoultProcess(arguments: place.longRun(model, "whole"))
        #expect(whole.status == 0, "\(whole.error)")
        let resume = ["train", "--resume", "--output", "\(place.path)/run"]
        var count = 0
        while count < 2 * moments, !place.exists("run/student") {
            let isBegun = place.exists("run/config.yaml")
            let process = try RunningMoult(isBegun ? resume : place.longRun(model, "run"))
            // Each time a little later, from the reading of the text to the last checkpoint.
            let before = place.contents("run")
            if count >= moments / 2 { process.wait { place.contents("run") != before } }
            usleep(UInt32(20_000 * (count % moments)))
            process.signal(SIGKILL)
            _ = process.finish()
            count += 1
        }
        let last = try MoultProcess(
            arguments: place.exists("run/config.yaml") ? resume : place.longRun(model, "run"))
        #expect(last.status == 0, "\(last.error)")
        #expect(leftovers == [])
        for name in ["best", "student"] {
            let file = "\(name)/model.safetensors"
            #expect(try place.bytes("run/\(file)") == place.bytes("whole/\(file)"), "\(name)")
        }
    }
}
