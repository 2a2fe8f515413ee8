import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite("moult select")
struct SelectCommandTests {
    @Test("what it writes is what convert takes; a file of somebody else stays")
    func selection() throws {
        let place = try TinyWorkplace()
        let output = "\(place.path)/selection.json", source = ["--teacher", place.teacher]
        let json = try MoultProcess(
            arguments: ["select", place.model] + source + ["--layers", "1", "--output", output, "--json"]
        ).json()
        let names = try #require(json["keep_attention"]?.stringValue)
        #expect(json["rounds"] != nil && json["teacher"]?["recall"]?.doubleValue ?? -1 >= 0)
        // Again over its own file.
        #expect(
            try MoultProcess(arguments: ["select", place.model] + source + ["--layers", "1", "--output", output]).status
                == 0)
        let plan = try MoultProcess("convert", place.teacher, "--dry-run", "--keep-attention", output, "--json").json()
        let kept = names.split(separator: ",").compactMap { Int($0) }
        let mixers = try #require(plan["mixers"]?.arrayValue)
        #expect(mixers.enumerated().allSatisfy { ($0.element == "attention") == kept.contains($0.offset) })

        let other = "\(place.path)/other.json"
        try Data("{\"mine\": 1}".utf8).write(to: URL(fileURLWithPath: other))
        let refused = try MoultProcess(
            arguments: ["select", place.model] + source + ["--layers", "1", "--output", other])
        #expect(refused.status != 0 && refused.error.contains(other))
        #expect(try String(contentsOfFile: other, encoding: .utf8) == "{\"mine\": 1}")
    }

    @Test("one line says what cannot be selected from, or kept")
    func refusals() throws {
        let place = try TinyWorkplace()
        let fla = "\(place.path)/fla", file = "\(place.path)/none.json"
        _ = try MoultProcess("convert", place.teacher, "--profile", "fla", "--output", fla)
        try Data("{}".utf8).write(to: URL(fileURLWithPath: file))
        let cases: [([String], String)] = [
            (["select", fla, "--teacher", place.teacher], "fla"),
            (["select", place.teacher, "--teacher", place.teacher], "convert it first"),
            (["select", place.model, "--teacher", place.model], "softmax attention in every layer"),
            (["select", place.model, "--teacher", place.teacher, "--heads", "1", "--layers", "1"], "--layers"),
            (["select", place.model, "--teacher", place.teacher, "--heads", "0"], "--heads"),
            (["convert", place.teacher, "--dry-run", "--keep-attention", "1:x"], "--keep-attention"),
            (["convert", place.teacher, "--dry-run", "--keep-attention", file], "keep_attention"),
            (
                ["convert", place.teacher, "--dry-run", "--keep-attention", "\(place.path)/missing.json"],
                "missing.json"
            ),
            (["convert", place.teacher, "--dry-run", "--keep-attention", "0:9"], "0:9"),
            (["convert", place.teacher, "--dry-run", "--profile", "fla", "--sinks", "4"], "--sinks"),
            (
                [
                    "train", fla, "--teacher", place.teacher, "--data", place.text, "--output", "\(place.path)/run",
                    "--stages", "select=1", "--length", "16",
                ], "fla"
            ),
        ]
        for (arguments, part) in cases {
            let result = try MoultProcess(arguments: arguments)
            let errors = result.error.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
            #expect(result.status != 0 && result.status < 128, "\(arguments)")
            #expect(errors.count == 1 && errors[0].contains(part), "\(arguments): \(result.error)")
        }
        #expect(!place.exists("run"))
    }
}
