import Checkpoints
import Conversion
import Foundation
import Records
import TestSupport
import Testing
import Training

@Suite("What is wrong with a run is said before it begins, and before a resumed one goes on")
struct RunPlanTests {
    private func expectRefusal(
        _ run: TinyRun, _ expected: String, location: SourceLocation = #_sourceLocation
    ) throws {
        let error = #expect(throws: (any Error).self, sourceLocation: location) { try run.train() }
        #expect(error.map { "\($0)" } == expected, sourceLocation: location)
        // Nor has any text been tokenised.
        for name in ["run", "tokens"] {
            #expect(!FileManager.default.fileExists(atPath: run.path(name)), sourceLocation: location)
        }
    }

    @Test("a Transformer is to be converted first")
    func notConverted() throws {
        let run = try TinyRun("align=32")
        run.configuration.model = run.path("teacher")
        try expectRefusal(
            run,
            "\(run.path("teacher")): expected a model that 'moult convert' wrote, found a Transformer (llama); convert it "
                + "first: moult convert \(run.path("teacher")) --output student")
    }

    @Test("a quantised model is not trained")
    func quantised() throws {
        let run = try TinyRun("align=32")
        // Rounding leaves the matrices of a model this small as they are: one that says that it is rounded.
        var options = QuantisationOptions()
        options.bits = 8
        let wide = "\(SourceFixtures.models)/llama-linear-rope"
        var conversion = ConversionOptions()
        conversion.slots = 4
        _ = try Converter(ModelFiles.open(wide), options: conversion).run(output: run.path("wide"))
        _ = try ModelQuantiser(ModelFiles.open(run.path("wide")), options: options).run(output: run.path("rounded"))
        run.configuration.model = run.path("rounded")
        try expectRefusal(
            run,
            "\(run.path("rounded")): expected a model that 'moult convert' wrote, found a quantised one "
                + "('model.layers.0.self_attn.q_proj.weight' is q8); train a model before it is quantised")
    }

    @Test("text that is missing, in two lists or unreadable")
    func text() throws {
        let run = try TinyRun("align=32")
        let text = run.configuration.data.train
        run.configuration.data.validation = ["\(run.folder.path)/none.txt"]
        try expectRefusal(
            run,
            "\(run.folder.path)/none.txt: nothing matches; give a file, a folder or a pattern such as 'data/*.jsonl'")
        run.configuration.data.validation = text
        try expectRefusal(
            run, "\(text[0]): is to be trained on and to be held apart for validation; remove it from one of them")
        let pipe = run.path("pipe.txt")
        #expect(mkfifo(pipe, 0o600) == 0)
        run.configuration.data.validation = [pipe]
        try expectRefusal(run, "\(pipe): cannot be read: it is not a regular file")
    }

    @Test("names to freeze that no parameter has")
    func freeze() throws {
        let run = try TinyRun("align=32,finetune=32")
        run.configuration.stages[1].freeze = ["model.embed_tokens.*", "model.embed_token.weight"]
        try expectRefusal(
            run,
            "stage finetune: freeze: expected a name that 'moult inspect --tensors' shows, in which * stands for anything, "
                + "found 'model.embed_token.weight'")
        run.configuration.stages[1].freeze = ["*"]
        try expectRefusal(
            run,
            "stage finetune: expected parameters to train, found none: every layer keeps softmax attention, or everything is "
                + "frozen")
    }

    @Test("text held apart is read before the rest")
    func heldFirst() throws {
        let run = try TinyRun("align=32")
        run.configuration.data.validation = [try run.folder.write("held.jsonl", "{\"text\": 1}\n")]
        let error = #expect(throws: (any Error).self) { try run.train() }
        #expect(
            error.map { "\($0)" }?.hasPrefix("\(run.path("held.jsonl")): line 1: expected text under \"text\"") == true)
        let kept = (try? FileManager.default.contentsOfDirectory(atPath: run.path("tokens"))) ?? []
        #expect(kept.allSatisfy { $0.hasSuffix(".lock") }, "\(kept)")
    }

    // MARK: Paths

    @Test("paths are recorded as absolute ones")
    func absolute() throws {
        let run = try TinyRun("finetune=32")
        let folder = FileManager.default.currentDirectoryPath
        // From the present folder up to the root, and down again.
        let up = String(repeating: "../", count: folder.split(separator: "/").count)
        func relative(_ path: String) -> String { "./\(up)\(path.dropFirst())" }
        let configuration = run.configuration
        run.configuration.model = relative(configuration.model)
        run.configuration.data.train = configuration.data.train.map { relative($0) }
        run.configuration.data.cache = configuration.data.cache.map { relative($0) }
        try run.train()
        let recorded = try RunFolder.configuration(run.path("run"))
        #expect(recorded.model == "\(folder)/\(up)\(configuration.model.dropFirst())")
        #expect(recorded.data.train == configuration.data.train.map { "\(folder)/\(up)\($0.dropFirst())" })
        #expect(recorded.data.cache?.hasPrefix("\(folder)/") == true)
    }

    @Test("what was moved is named with its key, and found in its new place")
    func moved() throws {
        let run = try TinyRun("align=64,distil=64")
        let whole = try run.train("whole")
        let configuration = run.configuration
        func move(_ name: String) throws {
            try FileManager.default.moveItem(atPath: run.path(name), toPath: run.path("new-\(name)"))
        }
        let changes: [(key: String, name: String, change: (inout TrainingConfiguration) -> Void)] = [
            ("model", "model", { $0.model = run.path("new-model") }),
            ("teacher", "teacher", { $0.teacher = run.path("new-teacher") }),
            ("data.train", "text.jsonl", { $0.data.train = [run.path("new-text.jsonl")] }),
        ]
        var settings = configuration
        try run.train("run", stop: 3)
        for (key, name, change) in changes {
            try move(name)
            let error = #expect(throws: TrainingError.self) { try run.train("run", resuming: true) }
            #expect(
                error?.description
                    == "\(run.path("run"))/config.yaml: \(key): nothing is at '\(run.path(name))'; if it was "
                    + "moved, write its new place there")
            change(&settings)
            try run.folder.write("run/config.yaml", settings.yaml())
        }
        // The folder of the run may have been moved too.
        try move("run")
        let rest = try run.train("new-run", resuming: true)
        #expect(rest.isComplete && rest.losses == Array(whole.losses.suffix(rest.losses.count)))
        #expect(try run.bytes("new-run/student/model.safetensors") == run.bytes("whole/student/model.safetensors"))
    }

    // MARK: Measurements

    @Test("a run that was stopped before its first step is measured once at its beginning")
    func firstMeasurement() throws {
        let run = try TinyRun("align=64")
        try run.train("whole")
        try run.train("run", stop: 1)
        try run.train("run", resuming: true, stop: 2)
        try run.train("run", resuming: true)
        func validations(_ name: String) throws -> [Int] {
            try MetricsLog.events(path: run.path("\(name)/metrics.jsonl")).compactMap {
                if case .validation(let validation) = $0 { validation.step } else { nil }
            }
        }
        #expect(try validations("run") == [0, 2])
        #expect(try validations("run") == validations("whole"))
    }

    @Test("the teacher is measured once, and again when the rows are others")
    func teacher() throws {
        let run = try TinyRun("align=96")
        func perplexities() throws -> [Double] {
            try MetricsLog.events(path: run.path("run/metrics.jsonl")).compactMap {
                if case .start(let start) = $0 { start.teacher?.perplexity } else { nil }
            }
        }
        try run.train(stop: 2)
        // As if the teacher had been measured by somebody else: what the checkpoint keeps is taken.
        let state = "run/checkpoints/step-00000001/state.json"
        let text = try String(decoding: run.bytes(state), as: UTF8.self)
        #expect(text.contains("\"teacher\""))
        try run.train(resuming: true, stop: 1)
        let known = try perplexities()
        #expect(known.count == 2 && known[0] == known[1])
        var settings = run.configuration
        settings.validation.rows = 2
        try run.folder.write("run/config.yaml", settings.yaml())
        try run.train(resuming: true)
        let all = try perplexities()
        #expect(all.count == 3 && all[2] != all[0])
        let card = try String(contentsOfFile: run.path("run/student/README.md"), encoding: .utf8)
        // On other rows, what was measured before does not compare.
        #expect(card.contains("Perplexity on 2 rows") && !card.contains("before the training"), "\(card)")
    }
}

/// Where the fixtures of models lie.
private enum SourceFixtures {
    static let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("ModelsTests/Fixtures").path
}
