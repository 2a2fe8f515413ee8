import Foundation
import TestSupport
import Testing

/// Processes that train together, started as people and launchers start them.
@Suite("Ranks that are processes", .serialized)
struct RankCommandTests {
    private let place: TinyModel
    private let model: String
    private let host = ProcessInfo.processInfo.hostName

    init() throws {
        place = try TinyModel()
        model = try place.converted()
    }

    /// A run of 200 steps of 2 rows, saved every 5 of them.
    private func arguments(_ output: String, _ more: String...) throws -> [String] {
        try place.longRun(model, output).map { $0.replacing("long.yaml", with: "ranks.yaml") } + more
    }

    private func settings() throws {
        try place.write(
            "ranks.yaml",
            """
            checkpoints: {every: 5, keep: 2}
            validation: {every: 50, rows: 4}
            stages:
              - {stage: align, tokens: 3200, sequences: 2, warm_up_steps: 5}
              - {stage: finetune, tokens: 3200, sequences: 2, warm_up_steps: 5}
            """)
    }

    private var resume: [String] { ["train", "--resume", "--output", "\(place.path)/run", "--ranks", "2"] }

    /// Standard error's lines but the progress.
    private func errors(_ process: MoultProcess) -> [String] {
        process.error.split(separator: "\n").map(String.init).filter { $0.hasPrefix("Error:") }
    }

    @Test("train as one does, and the first line says who has started them")
    func together() throws {
        try settings()
        let alone = try MoultProcess(arguments: arguments("alone"))
        #expect(alone.status == 0, "\(alone.error)")
        let found = try MoultProcess(arguments: arguments("run", "--ranks", "2"))
        #expect(found.status == 0, "\(found.error)")
        #expect(found.error.split(separator: "\n").first == "2 ranks (moult): 0 to 1 on \(host)")
        #expect(found.output.contains("trained model: \(place.path)/run/student"))
        #expect(found.output.split(separator: "\n").count == 1)
        let (own, other) = try (lastLoss("run"), lastLoss("alone"))
        #expect(abs(own - other) < 1e-3 * other, "\(own), \(other)")
    }

    private func lastLoss(_ run: String) throws -> Double {
        let lines = (place.text("\(run)/metrics.jsonl") ?? "").split(separator: "\n")
        let line = try #require(
            lines.last { $0.contains("\"event\": \"validation\"") || $0.contains("\"validation\"") })
        let json = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return try #require(json?["loss"] as? Double)
    }

    /// The process of a rank.
    private func child(_ rank: Int, of process: RunningMoult) -> Int32? {
        let path = "/proc/\(process.identifier)/task/\(process.identifier)/children"
        let children = (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: " ").compactMap {
            Int32($0)
        }
        return children?.first {
            let text = (try? String(contentsOfFile: "/proc/\($0)/environ", encoding: .utf8)) ?? ""
            return text.split(separator: "\0").contains("MOULT_RANK=\(rank)")
        }
    }

    @Test("stop with the name of one that was killed, and go on bit for bit", arguments: [0, 1])
    func killed(_ rank: Int) throws {
        try settings()
        let whole = try MoultProcess(arguments: arguments("whole", "--ranks", "2"))
        #expect(whole.status == 0, "\(whole.error)")
        let process = try RunningMoult(arguments("run", "--ranks", "2"))
        process.wait { place.contents("run/checkpoints").contains { $0.hasPrefix("step-") } }
        kill(try #require(child(rank, of: process)), SIGKILL)
        let start = ContinuousClock.now
        let ended = process.finish()
        #expect(start.duration(to: .now) < .seconds(30))
        #expect(ended.status == 1)
        #expect(errors(ended) == ["Error: rank \(rank) on \(host) has died: its connection is closed"])
        let rest = try MoultProcess(arguments: resume)
        #expect(rest.status == 0, "\(rest.error)")
        for name in ["best", "student"] {
            let file = "\(name)/model.safetensors"
            #expect(try place.bytes("run/\(file)") == place.bytes("whole/\(file)"), "\(name)")
        }
    }

    @Test("stop with the name of one that was killed before they have met, and make no run", arguments: [0, 1])
    func killedAtOnce(_ rank: Int) throws {
        try settings()
        let process = try RunningMoult(arguments("run", "--ranks", "2"))
        var victim: Int32?
        while victim == nil { victim = child(rank, of: process) }
        kill(try #require(victim), SIGKILL)
        let ended = process.finish()
        #expect(ended.status == 1)
        #expect(errors(ended).count == 1, "\(ended.error)")
        #expect(errors(ended).first?.hasPrefix("Error: rank \(rank) ") == true, "\(ended.error)")
        #expect(!place.exists("run/checkpoints"))
    }

    @Test("are killed at any moment, one after another, and end with the bits of a run that was not")
    func killedOften() throws {
        try settings()
        let whole = try MoultProcess(arguments: arguments("whole", "--ranks", "2"))
        #expect(whole.status == 0, "\(whole.error)")
        var count = 0
        while count < 20, !place.exists("run/student") {
            let process = try RunningMoult(
                place.exists("run/config.yaml") ? resume : arguments("run", "--ranks", "2"))
            // Each time a little later, from the meeting of the ranks to the steps behind a checkpoint.
            usleep(UInt32(50_000 + 30_000 * (count % 10)))
            let victim = child(count % 2, of: process)
            if let victim { kill(victim, SIGKILL) }
            let ended = process.finish()
            // Whoever it was and whenever: one line.
            #expect(errors(ended).count == (ended.status == 0 ? 0 : 1), "\(ended.error)")
            #expect(ended.status == 0 || ended.status == 1)
            #expect(victim != nil || ended.status == 0)
            count += 1
        }
        let last = try MoultProcess(
            arguments: place.exists("run/config.yaml") ? resume : arguments("run", "--ranks", "2"))
        #expect(last.status == 0, "\(last.error)")
        for name in ["best", "student"] {
            let file = "\(name)/model.safetensors"
            #expect(try place.bytes("run/\(file)") == place.bytes("whole/\(file)"), "\(name)")
        }
    }

    @Test("stop together when asked to, and go on")
    func interrupted() throws {
        try settings()
        let process = try RunningMoult(arguments("run", "--ranks", "2"))
        process.wait { place.contents("run/checkpoints").contains { $0.hasPrefix("step-") } }
        process.signal(SIGINT)
        let ended = process.finish()
        #expect(ended.status == 130, "\(ended.error)")
        #expect(ended.error.contains("Go on with: moult train --resume --output \(place.path)/run --ranks 2"))
        let rest = try MoultProcess(arguments: resume)
        #expect(rest.status == 0, "\(rest.error)")
    }

    @Test("are started by torchrun, by its variables, and refuse one with other settings")
    func torchrun() throws {
        try settings()
        func start(_ rank: Int, _ port: Int, _ arguments: [String]) throws -> RunningMoult {
            try RunningMoult(arguments) {
                $0.set([
                    "RANK": "\(rank)", "WORLD_SIZE": "2", "LOCAL_RANK": "\(rank)", "LOCAL_WORLD_SIZE": "2",
                    "MASTER_ADDR": "localhost", "MASTER_PORT": "\(port)", "TORCHELASTIC_RUN_ID": "test",
                ])
            }
        }
        let processes = try (0..<2).map { try start($0, 21480, arguments("run")) }
        let ended = processes.map { $0.finish() }
        #expect(ended.map(\.status) == [0, 0], "\(ended.map(\.error))")
        #expect(ended[0].error.hasPrefix("2 ranks (torchrun): 0 to 1 on \(host)\n"))
        #expect(ended[1].error == "" && ended[1].output == "")
        let others = try [arguments("other"), arguments("other", "--seed", "1")].enumerated()
            .map { try start($0, 21490, $1) }.map { $0.finish() }
        for other in others {
            #expect(other.status == 1)
            #expect(errors(other).count == 1)
            #expect(other.error.contains("rank 1 on \(host) has another run: settings "), "\(other.error)")
        }
        #expect(!place.exists("other"))
    }

    @Test("are refused where they cannot be")
    func refusals() throws {
        try settings()
        let rows = try MoultProcess(arguments: arguments("run", "--ranks", "3"))
        #expect(rows.status == 1)
        #expect(errors(rows).count == 1, "\(rows.error)")
        #expect(rows.error.contains("stage align: sequences: expected rows of a batch"))
        #expect(!place.exists("run/config.yaml"))
        let both = try MoultProcess(arguments: arguments("run", "--ranks", "2", "--gpus", "2"))
        #expect(both.status == 64 && both.error.contains("--gpus and --ranks: expected one of them, found both."))
        // Where only one of them finds out, that one says it.
        let file = try MoultProcess(arguments: arguments("text.txt/run", "--ranks", "2"))
        #expect(file.status == 1)
        #expect(errors(file).count == 1 && !file.error.contains("has stopped"), "\(file.error)")
        let none = try MoultProcess(arguments: arguments("run", "--ranks", "0"))
        #expect(none.status == 64 && none.error.contains("--ranks: expected 1 to 1024, found 0."))
    }
}
