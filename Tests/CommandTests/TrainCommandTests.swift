import Checkpoints
import Foundation
import TestSupport
import Testing

/// `moult train` on a tiny model, from the outside.
@Suite("moult train", .serialized)
struct TrainCommandTests {
    /// A converted model, its teacher and a text.
    private struct Workplace {
        private let tiny: TinyModel
        let model: String
        var folder: TemporaryFolder { tiny.folder }
        var path: String { tiny.path }
        var teacher: String { tiny.teacher }
        var text: String { tiny.text }

        init() throws {
            tiny = try TinyModel()
            model = try tiny.converted()
        }

        /// The command with whatever changes.
        func train(_ output: String, stages: String = "align=512,distil=512", _ more: String...) throws -> MoultProcess
        {
            try MoultProcess(arguments: command(output, stages: stages) + more)
        }

        func command(_ output: String, stages: String) -> [String] {
            [
                "train", model, "--teacher", teacher, "--data", text, "--output", "\(path)/\(output)", "--stages",
                stages, "--length", "16",
            ]
        }

        func bytes(_ file: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(file)")) }
        func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(file)") }
    }

    @Test("trains, and leaves two models that can be measured")
    func train() throws {
        let place = try Workplace()
        let result = try place.train("run")
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output.contains("\(place.path)/run/student"))
        #expect(result.error.contains("validation perplexity"))
        for name in ["best", "student"] {
            let json = try MoultProcess("perplexity", "\(place.path)/run/\(name)", "--data", place.text, "--json")
                .json()
            #expect(json["perplexity"]?.doubleValue.map { $0 > 1 } == true)
        }
        let again = try place.train("run")
        #expect(again.status != 0 && again.error.contains("--resume"))
        let resumed = try MoultProcess("train", "--resume", "--output", "\(place.path)/run")
        #expect(resumed.status == 0, "\(resumed.error)")
    }

    @Test("adapters of the command line belong to the recipe")
    func adapters() throws {
        let place = try Workplace()
        let result = try place.train(
            "adapted", "--lora-rank", "4", "--lora-alpha", "6", "--lora-targets", "*.q_proj", "*.down_proj")
        #expect(result.status == 0, "\(result.error)")
        let recipe = try String(decoding: place.bytes("adapted/config.yaml"), as: UTF8.self)
        let lines = recipe.split(separator: "\n").map { $0.trimmingPrefix { $0 == " " } }
        #expect(lines.filter { $0.hasPrefix("lora_rank: ") } == ["lora_rank: 0", "lora_rank: 4"], "\(recipe)")
        #expect(lines.contains("lora_alpha: 6.0") && recipe.contains("*.down_proj"), "\(recipe)")
        let edited = recipe.replacing("lora_alpha: 6.0", with: "lora_alpha: 7.0")
        try place.folder.write("adapted/config.yaml", Data(edited.utf8))
        let resumed = try MoultProcess("train", "--resume", "--output", "\(place.path)/adapted")
        #expect(resumed.status == 1 && resumed.error.contains("settings with which the run began"), "\(resumed.error)")
    }

    @Test("adapters that cannot be give one line and leave nothing")
    func adapterRefusals() throws {
        let place = try Workplace()
        expectRefusal(
            place, try place.train("run", stages: "align=512", "--lora-rank", "4"),
            "Error: --lora-rank: expected a stage distil or finetune, which alone have adapters, found align\n")
        expectRefusal(
            place, try place.train("run", "--lora-rank=-1"), "Error: --lora-rank: expected 0 to 65536, found -1\n")
        expectRefusal(
            place, try place.train("run", "--lora-rank", "4", "--lora-alpha=-1"), "--lora-alpha: expected", "-1")
        expectRefusal(
            place, try place.train("run", "--lora-targets", "*.q_proj"),
            "Error: --lora-targets: expected a rank of the adapters with it (--lora-rank), found '*.q_proj'\n")
        expectRefusal(
            place, try place.train("run", "--lora-rank", "4", "--lora-targets", "*.embed_tokens"), "lora_targets",
            "'*.embed_tokens'")
        expectRefusal(place, try place.train("run", "--lora-rank", "4096"), "lora_rank: expected at most", "4096")
    }

    // MARK: Refusals

    /// Expects one line with all of `parts`, and no folder of a run.
    private func expectRefusal(
        _ place: Workplace, _ result: MoultProcess, _ parts: String..., location: SourceLocation = #_sourceLocation
    ) {
        #expect(result.status != 0 && result.status < 128, sourceLocation: location)
        #expect(result.output == "", sourceLocation: location)
        let lines = result.error.split(separator: "\n").filter {
            !$0.hasPrefix("Usage:") && !$0.hasPrefix("  See '") && !$0.hasPrefix("Help:")
        }
        #expect(lines.count == 1 && lines[0].hasPrefix("Error: "), "\(result.error)", sourceLocation: location)
        for part in parts { #expect(result.error.contains(part), "\(result.error)", sourceLocation: location) }
        #expect(!place.exists("run"), sourceLocation: location)
    }

    @Test("what cannot be trained gives one line and leaves nothing")
    func refusals() throws {
        let place = try Workplace()
        let output = "\(place.path)/run"
        func file(_ name: String, _ text: String) throws -> String { try place.folder.write(name, Data(text.utf8)) }
        func train(teacher: String? = nil, data: String? = nil, _ more: String...) throws -> MoultProcess {
            try MoultProcess(
                arguments: [
                    "train", place.model, "--teacher", teacher ?? place.teacher, "--data", data ?? place.text,
                    "--output", output, "--length", "16",
                ] + more)
        }
        expectRefusal(place, try train(teacher: "\(place.path)/none"), "\(place.path)/none", "no such file")
        let other = "\(packageRoot)/Tests/ModelsTests/Fixtures/llama-tied"
        expectRefusal(
            place, try train(teacher: other),
            "Error: \(other): expected hidden size 16, as the model has, found hidden size 48\n")
        expectRefusal(
            place, try train(teacher: place.model),
            "Error: \(place.model): expected a teacher with softmax attention in every layer: the Transformer that the model "
                + "was made from, found a converted model, 2 of its 2 layers 'gsa'\n")
        expectRefusal(
            place, try MoultProcess("train", place.model, "--data", place.text, "--output", output), "--teacher",
            "align")
        expectRefusal(
            place, try MoultProcess("train", place.model, "--teacher", place.teacher, "--output", output), "--data")
        expectRefusal(place, try train(data: "\(place.path)/none.txt"), "none.txt", "nothing matches")
        expectRefusal(place, try train(data: try file("empty.txt", "")), "empty.txt")
        expectRefusal(place, try train(data: try file("short.txt", "Too short.")), "short.txt", "tokens")
        let lines = try file("bad.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"text\": three}\n")
        expectRefusal(place, try train(data: lines), "bad.jsonl", "line 3")
        expectRefusal(
            place, try train(data: try file("no.jsonl", "{\"body\": \"x\"}\n")), "no.jsonl", "line 1", "\"text\"")
        expectRefusal(place, try train("--stages", "align"), "--stages", "'align'")
        expectRefusal(place, try train("--stages", "pretrain=1M"), "--stages", "'pretrain=1M'")
        expectRefusal(place, try train("--length", "1"), "--length", "2 to")
        expectRefusal(place, try train("--length", "-5"), "--length")
        expectRefusal(place, try train("--seed=-1"), "--seed", "-1")
        expectRefusal(place, try train("--device", "tpu"), "'tpu'", "--device", "'cpu'", "'cuda'", "'cuda:1'")
        expectRefusal(place, try train("--device", "cuda:one"), "'cuda:one'", "--device", "'cuda:1'")
        expectRefusal(
            place, try train("--precision", "bf16"), "--precision: cpu does not compute in bf16; expected f32.")
        expectRefusal(
            place, try train("--device", "cuda:1", "--precision", "f32"),
            "--precision: cuda:1 does not compute in f32; expected bf16.")
        expectRefusal(place, try train("--validation", place.text), "text.txt", "held apart")
        expectRefusal(place, try train("--config", "\(place.path)/none.yaml"), "none.yaml")
        let settings = try file("run.yaml", "stages:\n  - stage: align\n    tokens: 1k\n    clip: big\n")
        expectRefusal(place, try train("--config", settings), "run.yaml:4: clip")
        expectRefusal(place, try MoultProcess("train", "--output", output), "MODEL")
        expectRefusal(
            place,
            try MoultProcess(
                "train", "\(packageRoot)/Tests/ModelsTests/Fixtures/moult-gsa", "--teacher", other, "--data",
                place.text,
                "--output", output),
            "expected a tokenizer.json, found none")
        expectRefusal(
            place,
            try MoultProcess(
                "train", place.teacher, "--teacher", place.teacher, "--data", place.text, "--output", output),
            "Error: \(place.teacher): expected a model that 'moult convert' wrote, found a Transformer (llama); convert it "
                + "first: moult convert \(place.teacher) --output student\n")
        expectRefusal(
            place, try MoultProcess("train", smolLM2, "--teacher", smolLM2, "--data", place.text, "--output", output),
            "Error: \(smolLM2): expected a model that 'moult convert' wrote, found a Transformer (a .gguf file); convert it "
                + "first: moult convert \(smolLM2) --output student\n")
        expectRefusal(place, try MoultProcess("train", "--resume", "--output", output), "no config.yaml")
        for option in [
            [place.model], ["--seed", "1"], ["--length", "8"], ["--stages", "align=1k"], ["--cache", "x"],
            ["--validation", "x"], ["--data", "x"], ["--teacher", "x"], ["--config", "x"],
            ["--on-plateau", "stop"], ["--lora-rank", "8"], ["--lora-alpha", "2.0"], ["--lora-targets", "*.q_proj"],
            ["--text-key", "messages"], ["--max-line-bytes", "1000"],
        ] {
            let result = try MoultProcess(arguments: ["train", "--resume", "--output", output] + option)
            expectRefusal(place, result, "--resume", "no other settings", option.last ?? "")
        }
        // Choices of the machine are no settings.
        let memories = ["--teacher-memory", "--optimizer-memory"]
        for option in memories {
            let result = try MoultProcess("train", place.model, "--output", output, option, "disk")
            expectRefusal(place, result, "'disk' is invalid for '\(option)", "'device' and 'host'")
        }
        let hosts = memories.flatMap { [$0, "host"] }
        expectRefusal(
            place, try MoultProcess(arguments: ["train", "--resume", "--output", output] + hosts), "no config.yaml")
    }

    @Test("resumed from another folder, a run finds what it was given by relative paths")
    func relativePaths() throws {
        let place = try Workplace()
        func moult(in folder: String, _ arguments: String...) throws -> MoultProcess {
            try MoultProcess(
                executable: "/bin/sh",
                arguments: ["-c", "cd \"$0\" && exec \"$@\"", folder, MoultProcess.executable.path] + arguments)
        }
        let first = try moult(
            in: place.path, "train", "model", "--teacher", "teacher", "--data", "text.txt", "--output", "run",
            "--stages",
            "align=512", "--length", "16")
        #expect(first.status == 0, "\(first.error)")
        // As if it had been stopped before its last checkpoint.
        let last = try moult(in: "/", "train", "--resume", "--output", "\(place.path)/run")
        #expect(last.status == 0, "\(last.error)")
        try FileManager.default.moveItem(atPath: place.teacher, toPath: "\(place.path)/elsewhere")
        let moved = try moult(in: "/", "train", "--resume", "--output", "\(place.path)/run")
        #expect(moved.status == 1)
        #expect(
            moved.error
                == "Error: \(place.path)/run/config.yaml: teacher: nothing is at '\(place.teacher)'; if it was moved, "
                + "write its new place there\n")
    }

    @Test("stopped before its first step, it does not say that something is saved")
    func earlyInterrupt() throws {
        let place = try Workplace()
        let output = "\(place.path)/early"
        // The measurement before the first step takes long: all rows of much text.
        let settings = try place.folder.write(
            "slow.yaml", Data("validation: {rows: 100000}\ndata: {validation_share: 0.5}\n".utf8))
        let text = try place.folder.write(
            "much.txt", Data((0..<8000).map { "The fox \($0 * $0 % 97) jumps over the dog.\n" }.joined().utf8))
        let process = try RunningMoult([
            "train", place.model, "--data", text, "--output", output, "--stages", "finetune=512", "--length", "16",
            "--config", settings,
        ])
        process.wait { place.exists("early/metrics.jsonl") }
        process.signal(SIGINT)
        let result = process.finish()
        #expect(result.status == 130)
        #expect(
            result.error.hasSuffix(
                "stopped before the first step. Begin with: moult train --resume --output \(output)\n"),
            "\(result.error)")
        #expect(!place.exists("early/checkpoints"))
    }

    @Test("the folder of something else stays as it is")
    func existingOutput() throws {
        let place = try Workplace()
        let result = try MoultProcess(
            arguments: Array(place.command("x", stages: "align=64").dropLast(6)) + ["--output", place.model])
        #expect(result.status != 0 && result.error.contains("something there already"), "\(result.error)")
        #expect(place.exists("model/config.json"))
    }

    // MARK: Stops

    /// A run long enough to be stopped on its way: 400 steps, a checkpoint every 5.
    private func longRun(_ place: Workplace) throws -> [String] {
        let settings = try place.folder.write(
            "long.yaml",
            Data(
                """
                checkpoints: {every: 5, keep: 2}
                validation: {every: 50, rows: 4}
                stages:
                  - {stage: align, tokens: 3200, sequences: 1, accumulation: 2, warm_up_steps: 5}
                  - {stage: distil, tokens: 3200, sequences: 1, accumulation: 2, warm_up_steps: 5}
                  - {stage: finetune, tokens: 6400, sequences: 1, accumulation: 2, warm_up_steps: 5}
                """.utf8))
        return [
            "train", place.model, "--teacher", place.teacher, "--data", place.text, "--config", settings, "--length",
            "16", "--cache", "\(place.path)/tokens",
        ]
    }

    private func expectSame(_ place: Workplace, _ run: String, location: SourceLocation = #_sourceLocation) throws {
        for name in ["student", "best"] {
            let (found, expected) = (
                try place.bytes("\(run)/\(name)/model.safetensors"), try place.bytes("whole/\(name)/model.safetensors")
            )
            #expect(found == expected, "\(name)", sourceLocation: location)
        }
    }

    @Test("killed at any moment, a run goes on to the same end")
    func kills() throws {
        let place = try Workplace()
        let command = try longRun(place)
        let whole = try MoultProcess(arguments: command + ["--output", "\(place.path)/whole"])
        #expect(whole.status == 0, "\(whole.error)")
        let output = "\(place.path)/killed"
        /// The checkpoints that have their names.
        func complete() -> Set<String> {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(output)/checkpoints")) ?? []
            return Set(names.filter { $0.hasPrefix("step-") })
        }
        for _ in 0..<3 {
            let isBegun = place.exists("killed/config.yaml")
            let process = try RunningMoult((isBegun ? ["train", "--resume"] : command) + ["--output", output])
            // Not before it has saved something new.
            let before = complete()
            process.wait { complete() != before }
            process.signal(SIGKILL)
            #expect(process.finish().status != 0)
        }
        let last = try MoultProcess("train", "--resume", "--output", output)
        #expect(last.status == 0, "\(last.error)")
        #expect(!last.error.contains("warning"), "\(last.error)")
        try expectSame(place, "killed")
    }

    @Test("asked to stop, it saves and says how to go on", arguments: [SIGINT, SIGTERM])
    func interrupt(_ signal: Int32) throws {
        let place = try Workplace()
        let command = try longRun(place)
        #expect(try MoultProcess(arguments: command + ["--output", "\(place.path)/whole"]).status == 0)
        let output = "\(place.path)/stopped"
        let process = try RunningMoult(command + ["--output", output])
        process.wait { place.exists("stopped/checkpoints") }
        process.signal(signal)
        let result = process.finish()
        #expect(result.status == 128 + signal, "\(result.error)")
        #expect(result.error.contains("moult train --resume --output \(output)"), "\(result.error)")
        let last = try MoultProcess("train", "--resume", "--output", output)
        #expect(last.status == 0 && last.error.contains("going on after step"), "\(last.error)")
        try expectSame(place, "stopped")
    }

    @Test("a full disk ends it in one line, and the last checkpoint is whole")
    func fullDisk() throws {
        let place = try Workplace()
        let command = try longRun(place)
        #expect(try MoultProcess(arguments: command + ["--output", "\(place.path)/whole"]).status == 0)
        // Checkpoints of align, with the mixers alone, fit; those of distil are larger than a file may be.
        let output = "\(place.path)/full"
        let result = try MoultProcess(
            executable: "/bin/sh",
            arguments: [
                "-c", "trap '' XFSZ; ulimit -f 256; exec \"$0\" \"$@\"", MoultProcess.executable.path,
            ] + command + ["--output", output])
        #expect(result.status != 0 && result.status < 128)
        let errors = result.error.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
        #expect(errors.count == 1 && errors[0].contains(output) && errors[0].contains("too large"), "\(result.error)")
        let left = try FileManager.default.subpathsOfDirectory(atPath: output)
        #expect(left.contains("checkpoints/step-00000100/state.json"), "\(left)")
        #expect(!left.contains { $0.contains(".partial") }, "\(left)")
        let last = try MoultProcess("train", "--resume", "--output", output)
        #expect(last.status == 0 && !last.error.contains("warning"), "\(last.error)")
        try expectSame(place, "full")
    }
}
