import Foundation
import Models
import Records
import TestSupport
import Testing
import Text
import Training

@Suite("A run that was stopped goes on as if it had not been")
struct ResumeTests {
    private func makeRun() throws -> TinyRun {
        let run = try TinyRun("align=128,distil=128,finetune=128")
        run.eachStage { ($0.sequences, $0.accumulation, $0.schedule.peak) = (1, 2, 2e-3) }
        (run.configuration.validation.every, run.configuration.checkpoints.every) = (2, 3)
        return run
    }

    /// A step of a run, and a measurement, by what must not depend on stops.
    private func history(_ records: TinyRun.Record...) -> [String] {
        records.flatMap { record in
            record.events.compactMap { event in
                switch event {
                case .step(let step):
                    "step \(step.step) \(step.stage) \(step.tokens) \(step.loss) \(step.learningRate) "
                        + "\(step.gradientNorm ?? .nan) \(step.skipped)"
                case .alignment(let step, let layers): "layers \(step) \(layers.sorted { $0.key < $1.key })"
                case .measured(let it): "measured \(it.step) \(it.loss) \(it.isBest) \(it.recalled)"
                case .stageEnded(let stage, let step): "end of \(stage) \(step)"
                default: nil
                }
            }
        }
    }

    private let models = ["best", "student"].flatMap { name in
        ["model.safetensors", "README.md", "moult.json"].map { "\(name)/\($0)" }
    }

    private func expectSame(
        _ run: TinyRun, _ name: String, as reference: String = "whole", location: SourceLocation = #_sourceLocation
    ) throws {
        for file in models {
            let same = try run.bytes("\(name)/\(file)") == run.bytes("\(reference)/\(file)")
            #expect(same, "\(name)/\(file)", sourceLocation: location)
        }
    }

    @Test("wherever it was stopped")
    func everyEvent() throws {
        let run = try makeRun()
        let whole = try run.train("whole")
        #expect(whole.losses.count == 12 && whole.isComplete)
        let expected = history(whole)
        for index in whole.events.indices {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(second.isComplete && second.warnings.allSatisfy { _ in first.steps.isEmpty }, "\(second.warnings)")
            // Nothing is done twice, but the measurement before the first step.
            let found = first.steps.isEmpty ? history(second) : history(first, second)
            #expect(found == expected, "event \(index): \(whole.events[index])")
            try expectSame(run, name)
        }
    }

    @Test("in stages with rows of their own length")
    func lengths() throws {
        let run = try makeRun()
        run.configuration.stages = try StageConfiguration.list("align=128,distil=512@64,finetune=128@8")
        run.eachStage { ($0.sequences, $0.accumulation, $0.schedule.peak) = (1, 2, 2e-3) }
        let whole = try run.train("whole")
        #expect(whole.steps.map(\.tokens) == [32, 64, 96, 128, 256, 384, 512, 640] + (1...8).map { 640 + 16 * $0 })
        let card = try String(decoding: run.bytes("whole/student/README.md"), as: UTF8.self)
        #expect(card.contains("| align | 128 | 4 |\n| distil, rows of 64 tokens | 512 | 4 |"), "\(card)")
        for index in whole.events.indices.dropFirst(3) {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(second.warnings == [], "event \(index)")
            #expect(history(first, second) == history(whole), "event \(index)")
            let same =
                try run.bytes("\(name)/student/model.safetensors") == run.bytes("whole/student/model.safetensors")
            #expect(same, "event \(index)")
        }
        run.configuration.stages[1].length = 4000
        let error = #expect(throws: DataError.self) { try run.train("long") }
        #expect(error.map { "\($0)" }?.contains("text.jsonl: has ") == true)
        #expect(!FileManager.default.fileExists(atPath: run.path("long/config.yaml")))
    }

    @Test("with recall rows among the others")
    func recall() throws {
        let run = try makeRun()
        (run.configuration.length, run.configuration.data.recall, run.configuration.data.answerWeight) = (128, 0.5, 4)
        run.configuration.stages = try StageConfiguration.list("align=1024,distil=1024")
        run.configuration.data.validationShare = 0.2
        let whole = try run.train("whole")
        #expect(whole.losses.count == 8 && whole.isComplete)
        for index in [4, 9, 13] {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(history(first, second) == history(whole), "event \(index)")
            let same =
                try run.bytes("\(name)/student/model.safetensors") == run.bytes("whole/student/model.safetensors")
            #expect(same, "event \(index)")
        }
        // Other rows are another run, and so is another loss.
        try run.train("other", stop: 9)
        for (recall, weight) in [(0.25, 4), (0.5, 3.0)] {
            (run.configuration.data.recall, run.configuration.data.answerWeight) = (recall, weight)
            try run.folder.write("other/config.yaml", run.configuration.yaml())
            #expect(throws: TrainingError.self) { try run.train("other", resuming: true) }
        }
        (run.configuration.data.recall, run.configuration.data.answerWeight) = (0, 1)
        #expect(try run.train("text").losses != whole.losses)
    }

    @Test("with questions of recall, which change nothing else")
    func questions() throws {
        let run = try makeRun()
        run.configuration.length = 512
        run.configuration.stages = try StageConfiguration.list("align=2048,distil=2048")
        run.configuration.data.validationShare = 0.4
        let whole = try run.train("whole")
        #expect(whole.losses.count == 4 && whole.measurements.allSatisfy { $0.recalled.map(\.length) == [256, 512] })
        for index in whole.events.indices.dropFirst(2) {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(first.steps.isEmpty || history(first, second) == history(whole), "event \(index)")
            let answers = try [name, "whole"].map { name in
                try MetricsLog.events(path: run.path("\(name)/metrics.jsonl")).compactMap { event in
                    if case .recall(let recall) = event { recall } else { nil }
                }
            }
            #expect(answers[0] == answers[1] && answers[0].allSatisfy { $0.answers[0].teacher != nil })
            let file = "student/model.safetensors"
            let same = try run.bytes("\(name)/\(file)") == run.bytes("whole/\(file)")
            #expect(same, "event \(index)")
        }
        run.configuration.validation.recallQuestions = 0
        let silent = try run.train("silent")
        #expect(silent.losses == whole.losses && silent.measurements.allSatisfy { $0.recalled.isEmpty })
        let same = try run.bytes("silent/student/model.safetensors") == run.bytes("whole/student/model.safetensors")
        #expect(same)
    }

    @Test("stopped again and again")
    func everyStep() throws {
        let run = try makeRun()
        let whole = try run.train("whole")
        var parts: [TinyRun.Record] = []
        var isComplete = false
        while !isComplete, parts.count < 20 {
            // .started, .measured and .step, or .started and .step.
            let part = try run.train("parts", resuming: !parts.isEmpty, stop: parts.isEmpty ? 2 : 1)
            isComplete = part.isComplete
            parts.append(part)
        }
        #expect(parts.map(\.steps.count).allSatisfy { $0 <= 1 })
        #expect(parts.flatMap(\.losses) == whole.losses)
        try expectSame(run, "parts")
    }

    @Test("after its end there is nothing left to do")
    func complete() throws {
        let run = try makeRun()
        try run.train("whole")
        try run.train("again")
        let record = try run.train("again", resuming: true)
        #expect(record.steps.isEmpty && record.isComplete && record.warnings.isEmpty)
        try expectSame(run, "again")
    }

    // MARK: Damage

    private static let damages: [(String, @Sendable (String) throws -> Void)] = [
        ("truncated", { try change("\($0)/model.safetensors") { $0.removeLast(7) } }),
        ("empty", { try change("\($0)/model.safetensors") { $0 = Data() } }),
        ("a flipped bit in a tensor", { try change("\($0)/model.safetensors") { $0[$0.count / 2] ^= 4 } }),
        ("a flipped bit in the header", { try change("\($0)/model.safetensors") { $0[3] ^= 4 } }),
        ("no tensors", { try FileManager.default.removeItem(atPath: "\($0)/model.safetensors") }),
        ("no state", { try FileManager.default.removeItem(atPath: "\($0)/state.json") }),
        ("half a state", { try change("\($0)/state.json") { $0 = $0.prefix($0.count / 2) } }),
        ("a state without its step", { try change("\($0)/state.json") { $0 = Data("{\"version\": 1}".utf8) } }),
        (
            "an empty folder",
            { path in
                for file in ["state.json", "model.safetensors"] {
                    try FileManager.default.removeItem(atPath: "\(path)/\(file)")
                }
            }
        ),
    ]

    private static func change(_ path: String, _ body: (inout Data) -> Void) throws {
        let url = URL(fileURLWithPath: path)
        var data = try Data(contentsOf: url)
        body(&data)
        try Data(data).write(to: url)
    }

    @Test("from the checkpoint before a damaged one, with a warning")
    func damage() throws {
        let run = try makeRun()
        let whole = try run.train("whole")
        for (number, damage) in Self.damages.enumerated() {
            for both in [false, true] {
                let name = "damaged-\(number)-\(both)"
                let first = try run.train(
                    name,
                    stop: whole.events.firstIndex {
                        if case .step(let step) = $0 { step.step == 8 } else { false }
                    })
                #expect(first.saved.suffix(2) == [6, 8])
                let checkpoints = run.path("\(name)/checkpoints")
                try damage.1("\(checkpoints)/step-00000008")
                if both { try damage.1("\(checkpoints)/step-00000006") }
                let second = try run.train(name, resuming: true)
                #expect(second.warnings.count == (both ? 3 : 1), "\(damage.0): \(second.warnings)")
                #expect(second.warnings.first?.contains("step-00000008") == true, "\(second.warnings)")
                #expect(second.losses == Array(whole.losses.dropFirst(both ? 0 : 6)), "\(damage.0)")
                try expectSame(run, name)
            }
        }
    }

    @Test("and removes what was half-written")
    func partial() throws {
        let run = try makeRun()
        try run.train("whole")
        try run.train("run", stop: 8)
        try run.folder.write("run/checkpoints/.step-00000099.partial/model.safetensors", "half")
        try run.folder.write("run/.student.partial/model.safetensors", "half")
        try run.folder.write("run/.best.previous/model.safetensors", "half")
        try run.train("run", resuming: true)
        let left = try FileManager.default.subpathsOfDirectory(atPath: run.path("run")).filter {
            $0.contains(".partial") || $0.contains(".previous")
        }
        #expect(left == [])
        try expectSame(run, "run")
    }

    // MARK: Another run

    @Test("but not when the run is another")
    func changes() throws {
        let run = try makeRun()
        let settings = run.configuration
        func expectRefusal(_ what: String, _ change: () throws -> Void, undo: () throws -> Void) throws {
            try run.train(what, stop: 8)
            try change()
            let error = #expect(throws: TrainingError.self, "\(what)") { try run.train(what, resuming: true) }
            guard case .run = error else {
                Issue.record("\(what): \(String(describing: error))")
                return
            }
            try undo()
            #expect(try run.train(what, resuming: true).isComplete)
        }
        func edit(_ what: String, _ change: @escaping (inout TrainingConfiguration) -> Void) throws {
            let path = "\(what)/config.yaml"
            try expectRefusal(what) {
                var changed = settings
                change(&changed)
                try run.folder.write(path, changed.yaml())
            } undo: {
                try run.folder.write(path, settings.yaml())
            }
        }
        try edit("seed") { $0.seed = 1 }
        try edit("rate") { $0.stages[2].schedule.peak = 1 }
        try edit("order") { $0.stages.swapAt(1, 2) }
        for (what, file) in [("teacher", "teacher"), ("model", "model")] {
            let weights = "\(file)/model.safetensors"
            let bytes = try run.bytes(weights)
            try expectRefusal("another-\(what)") {
                var changed = bytes
                changed[changed.count - 2] ^= 1
                try run.folder.write(weights, changed)
            } undo: {
                try run.folder.write(weights, bytes)
            }
        }
        let text = try run.bytes("text.jsonl")
        try expectRefusal("another-text") {
            try run.folder.write("text.jsonl", text + Data("{\"text\": \"more\"}\n".utf8))
        } undo: {
            try run.folder.write("text.jsonl", text)
        }
    }

    @Test("measurements and checkpoints may come at other times")
    func allowedChanges() throws {
        let run = try makeRun()
        let whole = try run.train("whole")
        try run.train("run", stop: 8)
        var settings = run.configuration
        (settings.validation.every, settings.checkpoints.every, settings.checkpoints.keep) = (5, 1, 1)
        try run.folder.write("run/config.yaml", settings.yaml())
        let record = try run.train("run", resuming: true)
        #expect(record.losses == Array(whole.losses.suffix(record.losses.count)) && record.isComplete)
        #expect(try run.bytes("run/student/model.safetensors") == run.bytes("whole/student/model.safetensors"))
    }

    // MARK: Folders

    @Test func folders() throws {
        let run = try TinyRun("finetune=32")
        #expect(throws: TrainingError.self) { try run.train("run", resuming: true) }
        try run.train("run")
        #expect(throws: TrainingError.self) { try run.train("run") }
        try run.folder.write("file", "text")
        #expect(throws: TrainingError.self) { try run.train("file") }
        try run.folder.write("other/file", "text")
        #expect(throws: TrainingError.self) { try run.train("other") }
        #expect(try run.bytes("other/file") == Data("text".utf8))
        // What a run that was cut off while it read the text has left.
        try run.folder.write("early/tokens/x.lock", "")
        #expect(try run.train("early").isComplete)
    }
}
