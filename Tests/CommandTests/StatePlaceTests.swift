import Foundation
import TestSupport
import Testing

@Suite("Where states are saved")
struct StatePlaceTests {
    private let place: TinyModel
    init() throws { place = try TinyModel() }

    private func generate(_ arguments: String...) throws -> MoultProcess {
        try MoultProcess(arguments: ["generate", place.teacher, "--max-tokens", "2"] + arguments)
    }

    private func chat(_ lines: String...) throws -> [String] {
        let result = try MoultProcess(
            input: lines.joined(separator: "\n") + "\n", "chat", place.teacher, "--max-tokens", "2",
            "--temperature", "0")
        #expect(result.status < 128, "\(result.error)")
        return result.error.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("warning: ") }
    }

    /// Everything that is no state, and the words for it.
    private func occupants() throws -> [(path: String, found: String)] {
        let folder = place.path
        try place.write("precious.txt", "precious")
        try place.write("other.moult-state", "precious")
        try place.write("empty", "")
        try place.write("folder/file", "precious")
        #expect(mkfifo("\(folder)/pipe", 0o600) == 0)
        #expect(symlink("precious.txt", "\(folder)/link") == 0 && symlink("none", "\(folder)/dangling") == 0)
        return [
            ("\(folder)/precious.txt", "another file"), ("\(folder)/other.moult-state", "another file"),
            ("\(folder)/empty", "another file"), ("\(place.teacher)/config.json", "another file"),
            ("\(place.teacher)/model.safetensors", "another file"), ("\(folder)/folder", "a folder"),
            ("\(folder)/pipe", "a pipe"), ("\(folder)/link", "a link"), ("\(folder)/dangling", "a link"),
            ("/dev/null", "a device"), ("/dev/stdout", "a link"),
        ]
    }

    @Test("nothing but a state is ever replaced, and that is said before the text is read", .timeLimit(.minutes(2)))
    func refusals() throws {
        let occupants = try occupants()
        let before = place.contents("")
        for (path, found) in occupants {
            for force in [[], ["--force"]] {
                // A text that would be generated for a minute: the refusal comes first.
                let result = try MoultProcess(
                    arguments: [
                        "generate", place.teacher, "--prompt", "The fox", "--max-tokens", "100000000", "--save-state",
                        path,
                    ] + force)
                #expect(result.status != 0 && result.status < 128 && result.output == "", "\(path)")
                #expect(
                    result.error == "Error: \(path): expected a new file, or a state to replace, found \(found)\n")
            }
            let lines = try chat("The fox", "/save \(path)", "/save \(path) --force")
            #expect(
                lines.count == 2 && lines.allSatisfy { $0.hasPrefix("Error: \(path): expected a new file") }, "\(lines)"
            )
        }
        #expect(place.contents("") == before && place.text("precious.txt") == "precious")
        let missing = try generate("--prompt", "x", "--save-state", "\(place.path)/none/a.state")
        #expect(missing.error == "Error: \(place.path)/none/a.state: cannot be written: No such file or directory\n")
    }

    @Test("a state is replaced with --force, or by who loaded it")
    func force() throws {
        let state = "\(place.path)/book.state"
        #expect(try generate("--prompt", "The fox", "--save-state", state).status == 0)
        let first = try place.bytes("book.state")
        let second = try generate("--prompt", "The dog", "--save-state", state)
        #expect(
            second.error == "Error: \(state): expected a new file, or --force to replace a state, found a state\n")
        #expect(try place.bytes("book.state") == first)
        #expect(try generate("--prompt", "The dog", "--save-state", state, "--force").status == 0)
        let other = try place.bytes("book.state")
        #expect(other != first)
        let name = URL(fileURLWithPath: place.path).lastPathComponent
        let same = "\(place.path)/../\(name)/book.state"
        #expect(try generate("--load-state", state, "--save-state", same).status == 0)
        #expect(try place.bytes("book.state") != other)
        let lone = try generate("--prompt", "The dog", "--force")
        #expect(lone.status != 0 && lone.error.contains("--save-state"))
    }

    @Test("a conversation replaces what it saved or loaded itself")
    func conversation() throws {
        let (own, other) = ("\(place.path)/own.state", "\(place.path)/other.state")
        #expect(try generate("--prompt", "The fox", "--save-state", other).status == 0)
        let lines = try chat(
            "The fox", "/save \(own)", "The dog", "/save \(own)", "/save \(other)", "/load \(other)", "/save \(other)",
            "/save \(own)")
        #expect(lines.map { $0.split(separator: " ")[0] } == ["saved", "saved", "Error:", "loaded", "saved", "saved"])
        let again = try chat("The fox", "/save \(own)", "/save \(own) --force", "/save --force")
        #expect(again.map { $0.split(separator: " ")[0] } == ["Error:", "saved", "Error:"], "\(again)")
    }

    @Test("names of every kind", arguments: ["a", ".a", "é", "🂡", "a b", "-", "a.moult-state"])
    func names(_ name: String) throws {
        // A process in the folder, so that the path is the name alone.
        func run(_ arguments: [String]) throws -> MoultProcess {
            try MoultProcess(
                executable: "/bin/sh",
                arguments: ["-c", "cd \"$1\" && shift && exec \"$@\"", "sh", place.path, MoultProcess.executable.path]
                    + arguments)
        }
        let saved = try run(["generate", place.teacher, "--prompt", "x", "--max-tokens", "1", "--save-state=\(name)"])
        #expect(saved.status == 0 && place.exists(name), "\(saved.error)")
        let loaded = try run([
            "generate", place.teacher, "--max-tokens", "1", "--load-state=\(name)", "--save-state=\(name)",
        ])
        #expect(loaded.status == 0, "\(loaded.error)")
        #expect(place.contents("").allSatisfy { !$0.hasSuffix(".partial") })
    }
}
