import Foundation
import TestSupport
import Testing

/// Conversations on a terminal that keys are typed on. The tiny model repeats one token by the bias below, and the number
/// of messages tells what was sent.
@Suite("Conversations", .serialized, .timeLimit(.minutes(5)))
struct ChatTests {
    private let place: TinyModel
    private let state: String
    init() throws {
        place = try TinyModel()
        state = "\(place.path)/state"
    }

    /// A `moult chat` that controls its terminal.
    private final class Talk {
        let terminal: PseudoTerminal
        let process: RunningMoult

        init(_ tests: ChatTests, _ arguments: [String] = [], editor: String = "readline", columns: Int = 80) throws {
            terminal = try PseudoTerminal()
            terminal.becomeOrdinary()
            terminal.resize(columns: columns)
            let command = [MoultProcess.executable.path, "chat", tests.place.teacher, "--max-tokens", "4"] + arguments
            process = try RunningMoult(["-w", "-c"] + command, executable: "/usr/bin/setsid") { [terminal] in
                $0.use(terminal, isConversation: true)
                $0.set([
                    "MOULT_LINE_EDITOR": editor, "TERM": "xterm", "XDG_STATE_HOME": tests.state, "INPUTRC": "/dev/null",
                ])
            }
        }

        /// That of `moult`, which `setsid` starts.
        var identifier: Int32 {
            let parent = process.identifier
            let children = try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
            return children?.split(separator: " ").first.flatMap { Int32($0) } ?? parent
        }

        /// Types `keys` and returns what is shown up to `text`.
        func type(_ keys: String, until text: String) -> String {
            terminal.type(keys)
            return terminal.read(until: text)
        }

        /// Ends the conversation, and expects the terminal as it was.
        func end(_ keys: String = "/exit\r", status: Int32 = 0, before: termios) -> String {
            terminal.type(keys)
            let code = process.waitForEnd()
            #expect(code == status)
            #expect(terminal.settings.c_lflag == before.c_lflag && terminal.settings.c_iflag == before.c_iflag)
            return terminal.readToEnd()
        }
    }

    private var history: String? { place.text("state/moult/chat_history") }
    private static let editors = ["readline", "libedit"].filter {
        dlopen($0 == "readline" ? "libreadline.so.8" : "libedit.so.2", RTLD_NOW) != nil
    }

    @Test("a greeting, keys that edit, history, and the terminal as it was", arguments: editors)
    func editing(_ editor: String) throws {
        let talk = try Talk(self, editor: editor)
        let before = talk.terminal.settings
        let greeting = talk.terminal.read(until: "> ")
        #expect(greeting.contains("teacher: 2 layers of attention; memory of the conversation"), "\(greeting)")
        #expect(greeting.contains("sampled with temperature 0.7, top-p 0.9, --seed"), "\(greeting)")
        #expect(greeting.contains("/exit or Ctrl-D ends, Ctrl-C stops an answer"), "\(greeting)")
        // Written as "stats", with a slash put before it, and a word too many removed.
        #expect(talk.type("stats x\u{1}/\u{5}\u{1B}[D\u{1B}[D\u{B}\r", until: "messages").contains("main: 0 messages"))
        _ = talk.terminal.read(until: "> ")
        #expect(talk.type("\u{1B}[A\r", until: "messages").contains("main: 0 messages"))
        _ = talk.terminal.read(until: "> ")
        #expect(talk.type("/fork é日本\u{7F}\r", until: "goes back").contains("in 'é日'"))
        _ = talk.end(before: before)
        #expect(history == "/stats\n/fork é日\n/exit\n" || history == "/stats\n/stats\n/fork é日\n/exit\n")
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(state)/moult/chat_history")
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        // Another conversation has it.
        let next = try Talk(self, editor: editor)
        _ = next.terminal.read(until: "> ")
        let stats = next.type("\u{1B}[A\u{1B}[A\u{1B}[A\r", until: "messages")
        _ = next.terminal.read(until: "> ")
        #expect(stats.contains("main: 0 messages"), "\(stats)")
        _ = next.type("/forget\r", until: "> ")
        _ = next.end("\u{4}", before: before)
        #expect(history == nil)
    }

    @Test("what is pasted is one message, and so are lines that go on")
    func pasted() throws {
        guard Self.editors.contains("readline") else { return }
        let talk = try Talk(self, ["--no-history", "--logit-bias", "a=1000"])
        let before = talk.terminal.settings
        _ = talk.terminal.read(until: "> ")
        _ = talk.type("\u{1B}[200~The fox\rjumps\r\"\"\"\rover\u{1B}[201~\r", until: "> ")
        #expect(talk.type("/stats\r", until: "messages").contains("main: 2 messages"))
        _ = talk.type("The fox\\\r", until: "... ")
        _ = talk.type("jumps\r", until: "> ")
        #expect(talk.type("/stats\r", until: "messages").contains("main: 4 messages"))
        _ = talk.type("\"\"\"\r", until: "... ")
        _ = talk.type("one\r/stats\r\"\"\"\r", until: "> ")
        #expect(talk.type("/stats\r", until: "messages").contains("main: 6 messages"))
        _ = talk.end("/bye\r", before: before)
        #expect(history == nil)
    }

    @Test(
        "Ctrl-C gives up a line, twice it ends; SIGTERM ends; the terminal is as it was", arguments: editors + ["none"])
    func interrupts(_ editor: String) throws {
        for (signal, status) in [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)] {
            let talk = try Talk(self, editor: editor)
            let before = talk.terminal.settings
            _ = talk.terminal.read(until: "> ")
            _ = talk.type("/exit", until: "/exit")
            #expect(talk.type("\u{3}", until: "ends)").contains("Ctrl-C once more"))
            #expect(talk.type("/stats\r", until: "messages").contains("main: 0 messages"))
            _ = talk.terminal.read(until: "> ")
            if signal == SIGINT {
                _ = talk.type("\u{3}", until: "ends)")
                _ = talk.end("\u{3}", status: status, before: before)
            } else {
                kill(talk.identifier, signal)
                _ = talk.end("", status: status, before: before)
            }
        }
    }

    @Test("Ctrl-C stops an answer, and the conversation goes on")
    func stopped() throws {
        let talk = try Talk(self, ["--max-tokens", "1000000", "--logit-bias", "a=1000"])
        let before = talk.terminal.settings
        _ = talk.terminal.read(until: "> ")
        _ = talk.type("The fox\r", until: "aaaa")
        #expect(talk.type("\u{3}", until: "> ").contains("> "))
        #expect(talk.type("/stats\r", until: "messages").contains("main: 2 messages"))
        _ = talk.end(before: before)
    }

    @Test("stopped by Ctrl-Z, the terminal is given back, and the line goes on", arguments: editors)
    func suspended(_ editor: String) throws {
        let talk = try Talk(self, editor: editor)
        let before = talk.terminal.settings
        _ = talk.terminal.read(until: "> ")
        _ = talk.type("/sta", until: "/sta")
        // An orphaned group is not stopped by the key, and so the shell's part is played by a signal.
        kill(talk.identifier, SIGSTOP)
        talk.terminal.settings = before
        kill(talk.identifier, SIGCONT)
        usleep(500_000)
        #expect(talk.type("ts\r", until: "messages").contains("main: 0 messages"))
        _ = talk.end(before: before)
    }

    @Test("without a library lines are read as they are")
    func plain() throws {
        let talk = try Talk(self, editor: "none")
        let before = talk.terminal.settings
        _ = talk.terminal.read(until: "> ")
        #expect(talk.type("/stats\n", until: "messages").contains("main: 0 messages"))
        _ = talk.end("\u{4}", before: before)
        #expect(history == nil)
    }

    @Test("answers end their lines between words on a terminal, and not in a pipe")
    func wrapped() throws {
        let bias = ["--logit-bias", "a=1000", "--temperature", "0", "--max-tokens", "50"]
        let talk = try Talk(self, bias, columns: 21)
        let before = talk.terminal.settings
        _ = talk.terminal.read(until: "> ")
        let shown = talk.type("The fox\r", until: "> ").replacingOccurrences(of: "\r", with: "")
        let line = String(repeating: "a", count: 20)
        #expect(shown.contains("\(line)\n\(line)\naaaaaaaaaa\n"), "\(shown)")
        _ = talk.end(before: before)
        let piped = try MoultProcess(input: "The fox\n", arguments: ["chat", place.teacher] + bias)
        #expect(piped.output == String(repeating: "a", count: 50) + "\n")
    }

    @Test("commands that are not known are answered and not sent")
    func commands() throws {
        func errors(_ input: String) throws -> String {
            let result = try MoultProcess(input: input, "chat", place.teacher, "--max-tokens", "2")
            #expect(result.status == 1 && result.output.isEmpty, "\(result.output)")
            return result.error
        }
        #expect(
            try errors("/stat\n").contains("Error: '/stat' is no command; did you mean /stats? /help lists them all."))
        #expect(try errors("/clear\n").contains("did you mean /reset?"))
        #expect(
            try errors("/usr/bin is a folder\n").contains(
                "'/usr/bin' is no command; /help lists them. A message may begin"))
        #expect(try errors("/save\n").contains("/save: expected something behind it"))
        #expect(try errors("/exit now\n").contains("/exit: expected nothing behind it, found 'now'"))
        for end in ["/exit", "/quit", "/bye"] {
            let result = try MoultProcess(input: "\(end)\nThe fox\n", "chat", place.teacher)
            #expect(result.status == 0 && result.output.isEmpty)
        }
        let sent = try MoultProcess(input: " /usr/bin\n", "chat", place.teacher, "--max-tokens", "2")
        #expect(sent.status == 0 && !sent.output.isEmpty)
    }

    @Test("piped text: the mark of UTF-8, Windows' lines, and what is no UTF-8")
    func piped() throws {
        func run(_ bytes: [UInt8]) throws -> MoultProcess {
            let process = try RunningMoult(
                ["chat", place.teacher, "--max-tokens", "2", "--seed", "1"], hasInput: true)
            process.write(Data(bytes))
            return process.finish()
        }
        let expected = try run(Array("The fox\njumps\n".utf8))
        #expect(expected.status == 0, "\(expected.error)")
        #expect(try run([0xEF, 0xBB, 0xBF] + Array("The fox\r\njumps".utf8)).output == expected.output)
        #expect(try run(Array("\"\"\"The fox\"\"\"\njumps\n".utf8)).output == expected.output)
        let damaged = try run(Array("The fox\n".utf8) + [0x61, 0xFF, 0x0A] + Array("/stats\n".utf8))
        #expect(damaged.status == 1, "\(damaged.error)")
        #expect(damaged.error.contains("Error: standard input:2: not UTF-8 at byte 1 of the line"), "\(damaged.error)")
        #expect(damaged.error.contains("main: 2 messages"), "\(damaged.error)")
        let wide = try run([0xFF, 0xFE] + "The fox\n".utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] })
        #expect(wide.status != 0 && wide.output.isEmpty)
        #expect(wide.error.contains("standard input: expected UTF-8 text, found UTF-16;"), "\(wide.error)")
        let open = try run(Array("\"\"\"The fox\n".utf8))
        #expect(open.status == 1 && open.error.contains("expected a line that ends in \"\"\""), "\(open.error)")
    }

    @Test("answers are sampled, with a seed that is said and can be given")
    func seeds() throws {
        func run(_ arguments: String...) throws -> MoultProcess {
            try MoultProcess(input: "The fox\n", arguments: ["chat", place.teacher, "--max-tokens", "30"] + arguments)
        }
        let first = try run()
        let said = first.error.split(separator: "\n").compactMap { $0.split(separator: "sampled with --seed ").last }
            .last
        let again = try run("--seed", String(said ?? "none"))
        #expect(again.output == first.output && !again.error.contains("--seed"))
        #expect(try run("-s", "1").output != run("-s", "2").output)
        let greedy = try run("--temp", "0")
        #expect(try greedy.output == run("--temperature", "0", "-s", "9").output && !greedy.error.contains("--seed"))
    }
}
