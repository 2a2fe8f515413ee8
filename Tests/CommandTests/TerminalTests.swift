import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// What is shown of texts that others made.
@Suite("Control characters and long names do not reach the terminal", .timeLimit(.minutes(5)))
struct TerminalTests {
    /// Runs `moult` with standard output on a terminal, of a conversation the input and standard error too.
    private func onTerminal(_ arguments: [String], typing: String? = nil) throws -> String {
        let terminal = try PseudoTerminal()
        let process = try RunningMoult(arguments) {
            $0.use(terminal, isConversation: typing != nil)
            // Without readline, which writes control characters of its own.
            $0.set(["MOULT_LINE_EDITOR": "none"])
        }
        if let typing { terminal.type(typing) }
        let shown = terminal.readToEnd()
        _ = process.finish()
        return shown
    }

    /// The tiny teacher with `change` made to its weights' file and configuration.
    private func model(
        _ place: TinyWorkplace, renaming: (String, String)? = nil, config: (inout JSONObject) -> Void = { _ in }
    ) throws -> String {
        let path = "\(place.path)/hostile"
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.copyItem(atPath: place.teacher, toPath: path)
        guard case .object(var json) = try JSONValue(file: "\(path)/config.json") else { return path }
        config(&json)
        try Data(JSONValue.object(json).text().utf8).write(to: URL(fileURLWithPath: "\(path)/config.json"))
        guard let renaming else { return path }
        let weights = try place.bytes("teacher/model.safetensors")
        let size = weights.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        guard case .object(let header) = try JSONValue(parsing: weights[8..<8 + size], file: "header") else {
            return path
        }
        let pairs = header.pairs.map { ($0.0 == renaming.0 ? renaming.1 : $0.0, $0.1) }
        var text = JSONValue.object(JSONObject(pairs)).text()
        text += String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
        let length = (0..<8).map { UInt8(text.utf8.count >> (8 * $0) & 255) }
        try (Data(length) + Data(text.utf8) + weights.dropFirst(8 + size)).write(
            to: URL(fileURLWithPath: "\(path)/model.safetensors"))
        return path
    }

    private let evil = "\u{1B}]0;owned\u{7}\u{9B}2J\u{202E}"
    private let shown = "\\u001b]0;owned\\u0007\\u009b2J\\u202e"

    @Test("generated text and the prompt: shown on a terminal, byte for byte elsewhere")
    func generated() throws {
        let place = try TinyWorkplace()
        let arguments = [
            "generate", place.model, "--prompt", evil, "--logit-bias", "\u{1B}=1000", "--max-tokens", "3",
        ]
        let piped = try MoultProcess(arguments: arguments)
        #expect(piped.status == 0, "\(piped.error)")
        #expect(piped.output == evil + "\u{1B}\u{1B}\u{1B}\n")
        let terminal = try onTerminal(arguments)
        #expect(terminal.hasPrefix(shown + "\\u001b\\u001b\\u001b\n"), "\(terminal)")
        // JSON stays JSON.
        let text = try onTerminal(arguments + ["--json"])
        guard case .object(let json) = try JSONValue(parsing: Data(text.utf8), file: "terminal") else { return }
        #expect(json["prompt"] == .string(evil) && json["text"] == "\u{1B}\u{1B}\u{1B}")
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || $0 == "\u{9B}" || $0 == "\u{202E}" })
    }

    @Test("a conversation, its errors and its notes")
    func chat() throws {
        let place = try TinyWorkplace()
        let shown = try onTerminal(
            ["chat", place.model, "--logit-bias", "\u{1B}=1000", "--max-tokens", "2", "--system", evil],
            typing: "The fox\n/load \u{9B}none\n/fork \u{202E}x\n/stats\n/quit\n")
        #expect(shown.contains("\\u001b\\u001b\n"), "\(shown)")
        #expect(shown.contains("\\u009bnone") && shown.contains("in '\\u202ex'"), "\(shown)")
        #expect(!shown.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" || $0 == "\u{9B}" || $0 == "\u{202E}" })
    }

    @Test("a model's names in tables and in a conversion's notes, into a pipe too")
    func names() throws {
        let place = try TinyWorkplace()
        let name = "\(evil)\nspoof" + String(repeating: "x", count: 1_000_000)
        let path = try model(place, renaming: ("model.norm.weight", name))
        let listed = try MoultProcess("inspect", path, "--tensors")
        #expect(listed.status == 0, "\(listed.error)")
        let row = listed.output.split(separator: "\n").first { $0.hasPrefix(shown) } ?? "none"
        #expect(row.hasPrefix(shown + "\\nspoofxxx") && row.contains("x…x") && row.count < 160, "\(row)")
        #expect(listed.output.split(separator: "\n").count { $0.hasPrefix("spoof") } == 0)
        #expect(listed.output.utf8.count < 10_000)
        // The whole name is in the JSON.
        guard case .array(let tensors) = try MoultProcess("inspect", path, "--json").json()["tensors"] else { return }
        #expect(tensors.contains { $0["name"] == .string(name) })
        let converted = try MoultProcess("convert", path, "--dry-run")
        #expect((converted.output + converted.error).utf8.count < 10_000)
        #expect(!(converted.output + converted.error).unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" })
    }

    @Test("an error is one short line, whatever it quotes")
    func errors() throws {
        let place = try TinyWorkplace()
        let long = String(repeating: "y", count: 1_000_000)
        let path = try model(place) { $0["model_type"] = .string("\(evil)\n\(long)") }
        // What cannot be run is shown all the same.
        let shownInstead = try MoultProcess("inspect", path)
        #expect(shownInstead.status == 0 && shownInstead.output.contains(shown))
        #expect(!shownInstead.output.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" })
        for command in [
            ["bench", path], ["generate", path, "--prompt", "x"], ["convert", path, "--dry-run"],
            ["convert", path, "--dry-run", "--json"],
        ] {
            let result = try MoultProcess(arguments: command)
            #expect(result.status == 1 && result.output.isEmpty)
            #expect(result.error.hasPrefix("Error: ") && result.error.contains(shown), "\(result.error.prefix(1000))")
            #expect(result.error.split(separator: "\n").count == 1 && result.error.count <= 501)
        }
        // A path is shown so that it can be found, and what the command line holds is no exception.
        let odd = "\(place.path)/odd name\u{1B}\\é"
        let missing = try MoultProcess("inspect", odd)
        #expect(missing.error.contains("\(place.path)/odd name\\u001b\\é"), "\(missing.error)")
        try FileManager.default.copyItem(atPath: place.teacher, toPath: odd)
        #expect(try MoultProcess("inspect", odd).status == 0)
        let option = try MoultProcess("inspect", place.teacher, "--\u{1B}[31m\(long.prefix(100_000))")
        #expect(
            option.status == 64 && option.error.hasPrefix("Error: ") && option.error.contains("\nUsage: moult inspect"))
        #expect(option.error.contains("\\u001b[31m") && option.error.utf8.count < 2000, "\(option.error.prefix(1000))")
    }

    @Test("characters that are spread over tokens arrive whole, and bytes that are none as U+FFFD")
    func characters() throws {
        let place = try TinyWorkplace()
        let text = "日本👩‍👩‍👧é"
        let whole = try onTerminal(["generate", place.model, "--prompt", text, "--max-tokens", "0"])
        #expect(whole.hasPrefix(text + "\n"))
        // The bytes of a character one at a time, each a token of its own.
        let stream = try RunningMoult(["generate", place.model, "--stream", "--max-tokens", "2"], hasInput: true)
        for byte in [UInt8](text.utf8) + [0xFF] { stream.write(Data([byte])) }
        let result = stream.finish()
        #expect(result.status == 0, "\(result.error)")
        #expect(result.error.contains("bytes that are not UTF-8 were read as U+FFFD"))
    }
}
