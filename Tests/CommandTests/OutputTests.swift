import Checkpoints
import Foundation
import TestSupport
import Testing

/// Standard output and standard error that cannot be written.
@Suite("Output that cannot be written", .timeLimit(.minutes(5)))
struct OutputTests {
    /// Every command that prints, by a name for messages.
    private func commands(_ place: TinyWorkplace) throws -> [(name: String, arguments: [String])] {
        #expect(try MoultProcess(arguments: place.train("run")).status == 0)
        let prompts = try place.folder.write("prompts.txt", "The fox\nThe dog\n")
        return [
            ("inspect", ["inspect", place.teacher]),
            ("inspect --tensors", ["inspect", place.model, "--tensors", "--check"]),
            ("inspect --json", ["inspect", place.teacher, "--json"]),
            ("convert", ["convert", place.teacher, "--output", "\(place.path)/converted", "--slots", "4"]),
            ("convert --json", ["convert", place.teacher, "--dry-run", "--json"]),
            ("train", place.train("other")),
            ("select", ["select", place.model, "--teacher", place.teacher, "--layers", "1"]),
            ("select --json", ["select", place.model, "--teacher", place.teacher, "--heads", "1", "--json"]),
            ("report", ["report", "\(place.path)/run"]),
            ("report --watch", ["report", "\(place.path)/run", "--watch"]),
            ("perplexity", ["perplexity", place.model, "--data", place.text, "--window", "64", "--limit", "2"]),
            (
                "perplexity --json",
                ["perplexity", place.model, "--data", place.text, "--window", "64", "--limit", "2", "--json"]
            ),
            ("evaluate", ["evaluate", place.model, "--tasks", "recall", "--length", "512", "--limit", "1"]),
            (
                "evaluate --json",
                ["evaluate", place.model, "--tasks", "recall", "--length", "512", "--limit", "1", "--json"]
            ),
            (
                "evaluate --by generation",
                ["evaluate", place.model, "--tasks", "niah_single_1", "--length", "512", "--limit", "1"]
            ),
            ("quantize", ["quantize", place.model, "--bits", "8", "--output", "\(place.path)/quantised"]),
            ("generate", ["generate", place.model, "--prompt", "The fox", "--max-tokens", "3"]),
            ("generate --json", ["generate", place.model, "--prompt", "The fox", "--max-tokens", "3", "--json"]),
            (
                "generate --json-lines",
                ["generate", place.model, "--prompt", "The fox", "--max-tokens", "3", "--json-lines"]
            ),
            ("generate --prompts", ["generate", place.model, "--prompts", prompts, "--max-tokens", "3"]),
            ("bench", ["bench", place.model, "--prefill", "4", "--decode", "2", "--repeats", "1"]),
            ("bench --json", ["bench", place.model, "--prefill", "4", "--decode", "2", "--repeats", "1", "--json"]),
            ("debug-tokens", ["debug-tokens", place.model, "--data", place.text]),
            ("--help", ["--help"]), ("--version", ["--version"]), ("help", ["help", "generate"]),
            ("generate --help", ["generate", "--help"]),
            ("completions", ["--generate-completion-script", "bash"]),
        ]
    }

    private func errors(_ result: MoultProcess) -> [Substring] {
        result.error.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
    }

    /// What commands of ``commands(_:)`` have written is removed, so that they may run again.
    private func tidy(_ place: TinyWorkplace) {
        for name in ["converted", "quantised", "other"] {
            try? FileManager.default.removeItem(atPath: "\(place.path)/\(name)")
        }
    }

    @Test("a full disk, and a closed descriptor: one line, exit code 1, and what was made stays")
    func standardOutput() throws {
        let place = try TinyWorkplace()
        for (redirection, reason) in [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")] {
            for (name, arguments) in try commands(place) {
                let result = try MoultProcess(shell: "exec \"$0\" \"$@\" \(redirection)", arguments)
                #expect(result.status == 1, "\(name): \(result.error)")
                let expected =
                    "Error: standard output: cannot be written: \(reason); what was printed is incomplete."
                #expect(errors(result) == [expected[...]], "\(name): \(result.error)")
            }
            for made in [
                "converted/model.safetensors", "quantised/model.safetensors", "other/student/model.safetensors",
            ] {
                #expect(place.exists(made), "\(made)")
            }
            tidy(place)
            try FileManager.default.removeItem(atPath: "\(place.path)/run")
        }
    }

    @Test("standard error that is closed or full: everything else is as ever")
    func standardError() throws {
        let place = try TinyWorkplace()
        for redirection in ["2>&-", "2>/dev/full", "<&- 2>&-"] {
            for (name, arguments) in try commands(place) {
                let result = try MoultProcess(shell: "exec \"$0\" \"$@\" \(redirection)", arguments)
                #expect(result.status == 0, "\(name)")
                #expect(!result.output.isEmpty, "\(name)")
            }
            tidy(place)
            try FileManager.default.removeItem(atPath: "\(place.path)/run")
        }
        let failed = try MoultProcess(shell: "exec \"$0\" \"$@\" 2>&-", ["inspect", "\(place.path)/none"])
        #expect(failed.status == 1 && failed.output.isEmpty)
    }

    @Test("no file that is opened takes the place of a closed descriptor")
    func closed() throws {
        let place = try TinyWorkplace()
        let arguments = ["convert", place.teacher, "--slots", "4", "--window", "4", "--output"]
        let result = try MoultProcess(
            shell: "exec \"$0\" \"$@\" <&- >&- 2>&-", arguments + ["\(place.path)/closed"])
        #expect(result.status == 1)
        for file in ["model.safetensors", "config.json"] {
            #expect(try place.bytes("closed/\(file)") == place.bytes("model/\(file)"))
        }
        let run = try MoultProcess(shell: "exec \"$0\" \"$@\" <&- >&- 2>&-", place.train("closed-run"))
        #expect(run.status == 1)
        #expect(try MoultProcess(arguments: place.train("run")).status == 0)
        #expect(
            try place.bytes("closed-run/student/model.safetensors") == place.bytes("run/student/model.safetensors"))
        let chat = try MoultProcess(shell: "exec \"$0\" \"$@\" <&-", ["generate", place.model, "--stream"])
        #expect(chat.status != 0 && chat.status < 128)
        #expect(chat.error.contains("standard input: cannot be read: Bad file descriptor"), "\(chat.error)")
    }

    @Test("the state is saved though the text cannot be shown")
    func state() throws {
        let place = try TinyWorkplace()
        let arguments = ["generate", place.model, "--prompt", "The fox jumps over", "--save-state"]
        let whole = try MoultProcess(arguments: arguments + ["\(place.path)/whole.state", "--max-tokens", "0"])
        #expect(whole.status == 0, "\(whole.error)")
        for (name, redirection) in [("full", ">/dev/full"), ("closed", ">&-"), ("both", ">&- 2>&-")] {
            let path = "\(place.path)/\(name).state"
            let result = try MoultProcess(
                shell: "exec \"$0\" \"$@\" \(redirection)", arguments + [path, "--max-tokens", "5"])
            #expect(result.status == 1)
            // Nothing is generated that nobody can see.
            #expect(try place.bytes("\(name).state") == place.bytes("whole.state"))
        }
        // With --json the text is shown at the end, and the state is that of the whole text.
        let long = ["--max-tokens", "5", "--json"]
        #expect(try MoultProcess(arguments: arguments + ["\(place.path)/long.state"] + long).status == 0)
        let json = try MoultProcess(
            shell: "exec \"$0\" \"$@\" >/dev/full", arguments + ["\(place.path)/json.state"] + long)
        #expect(json.status == 1)
        #expect(try place.bytes("json.state") == place.bytes("long.state"))
    }

    @Test("a conversation ends when its answers cannot be shown")
    func chat() throws {
        let place = try TinyWorkplace()
        let result = try MoultProcess(
            shell: "printf 'The fox\\nThe dog\\n' | \"$0\" \"$@\" >/dev/full",
            ["chat", place.model, "--max-tokens", "4"])
        #expect(result.status == 1)
        #expect(errors(result).count == 1 && result.error.contains("No space left on device"), "\(result.error)")
    }

    @Test("a reader that goes away: quiet, or an error where the signal is ignored; the state is saved")
    func readerGone() throws {
        let place = try TinyWorkplace()
        for (isIgnored, status) in [(false, Int32(141)), (true, 1)] {
            let state = "\(place.path)/\(status).state"
            let arguments = [
                "-c", isIgnored ? "trap '' PIPE; exec \"$0\" \"$@\"" : "exec \"$0\" \"$@\"",
                MoultProcess.executable.path, "generate", place.model, "--prompt", "The fox", "--save-state", state,
            ]
            let process = try RunningMoult(arguments, executable: "/bin/sh")
            process.closeOutput()
            let result = process.finish()
            #expect(result.status == status)
            #expect(
                result.error
                    == (isIgnored
                        ? "Error: standard output: cannot be written: Broken pipe; what was printed is incomplete.\n"
                        : ""))
            #expect(try MoultProcess("generate", place.model, "--load-state", state, "--max-tokens", "1").status == 0)
        }
    }

    @Test("a file that may grow no more")
    func fileSize() throws {
        let place = try TinyWorkplace()
        let path = "\(place.path)/out.json"
        let result = try MoultProcess(
            shell: "ulimit -f 1; exec \"$0\" \"$@\" >\(path)", ["inspect", place.model, "--json"])
        #expect(result.status == 1)
        #expect(errors(result).count == 1 && result.error.contains("File too large"), "\(result.error)")
        let converted = try MoultProcess(
            shell: "ulimit -f 16; exec \"$0\" \"$@\"", ["convert", place.teacher, "--output", "\(place.path)/big"])
        #expect(converted.status == 1 && converted.error.contains("too large"), "\(converted.error)")
        #expect(!place.exists("big"))
    }

    @Test("a pipe that is slow and never waits gets all of it")
    func slowPipe() throws {
        let place = try TinyWorkplace()
        let expected = try MoultProcess("debug-tokens", place.model, "--data", place.text).output
        #expect(expected.utf8.count > 3 * 4096)
        let process = try RunningMoult(["debug-tokens", place.model, "--data", place.text]) { $0.narrowOutput() }
        usleep(300_000)
        let result = process.finish()
        #expect(result.status == 0 && result.output == expected)
    }
}
