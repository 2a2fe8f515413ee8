import Foundation
import Records
import Testing
import Training

@Suite("A run whose validation perplexity no longer falls")
struct PlateauTests {
    /// Two stages of 8 steps that change nothing, measured every second step.
    private func makeRun(_ action: PlateauPolicy.Action) throws -> TinyRun {
        let run = try TinyRun("align=256,distil=256")
        run.eachStage {
            ($0.sequences, $0.accumulation, $0.schedule.peak, $0.schedule.course) = (1, 2, 1e-12, .constant)
            $0.schedule.warmUpSteps = 0
        }
        (run.configuration.validation.every, run.configuration.checkpoints.every) = (2, 3)
        (run.configuration.plateau.action, run.configuration.plateau.patience) = (action, 2)
        return run
    }

    private func notices(_ record: TinyRun.Record) -> [RunNotice] {
        record.events.compactMap { if case .noticed(let notice) = $0 { notice } else { nil } }
    }

    @Test("says so once a stage, and what can be done")
    func words() throws {
        let run = try makeRun(.none)
        let record = try run.train()
        #expect(record.steps.count == 16)
        let notices = notices(record)
        #expect(notices.map(\.step) == [4, 12] && notices.map(\.stage) == ["align", "distil"])
        let text = try #require(notices.first).text
        #expect(text.hasPrefix("validation perplexity has not fallen for 2 measurements (best "), "\(text)")
        #expect(
            text.hasSuffix(
                " at step 0): it may be done: stop, or set on_plateau to lower or stop in config.yaml and go on with "
                    + "--resume"), "\(text)")
        let kept = try MetricsLog.events(path: run.path("run/metrics.jsonl")).compactMap { event in
            if case .notice(let it) = event { it.notice } else { nil }
        }
        #expect(kept == notices)
    }

    @Test("lowers the rate of the stage, each time it has not fallen again")
    func lower() throws {
        let record = try makeRun(.lower).train()
        let rates = record.steps.map { $0.learningRate / 1e-12 }
        let stage = [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
        #expect(zip(rates, stage + stage).allSatisfy { abs($0 - $1) < 1e-9 }, "\(rates)")
        // At the end of a stage there is nothing to lower.
        #expect(
            notices(record).map { $0.text.split(separator: "): ").last ?? "" } == [
                "the learning rate is now 0.5 of its schedule's", "the stage 'align' ends here",
                "the learning rate is now 0.5 of its schedule's", "the stage 'distil' ends here",
            ])
    }

    @Test("stops the stage, and the next begins")
    func stop() throws {
        let run = try makeRun(.stop)
        let record = try run.train()
        #expect(record.steps.map(\.stageStep) == [1, 2, 3, 4, 1, 2, 3, 4] && record.isComplete)
        #expect(record.steps.map(\.totalSteps) == [16, 16, 16, 16, 12, 12, 12, 12])
        #expect(
            notices(record).map { $0.text.split(separator: "): ").last ?? "" } == [
                "the stage 'align' ends here, after 4 of its 8 steps",
                "the stage 'distil' ends here, after 4 of its 8 steps",
            ])
        let card = try String(decoding: run.bytes("run/student/README.md"), as: UTF8.self)
        #expect(card.contains("| align | 128 | 4 |\n| distil | 128 | 4 |"), "\(card)")
        // What is measured at the end is there though the end came early.
        let events = try MetricsLog.events(path: run.path("run/metrics.jsonl"))
        #expect(events.contains { if case .positions(let it) = $0 { it.step == 8 } else { false } })
        #expect(try run.train(resuming: true).steps.isEmpty)
    }

    @Test("wherever it was stopped, it goes on as if it had not been", arguments: PlateauPolicy.Action.allCases)
    func resumed(_ action: PlateauPolicy.Action) throws {
        let run = try makeRun(action)
        func history(_ records: TinyRun.Record...) -> [String] {
            records.flatMap(\.events).compactMap { event in
                switch event {
                case .step(let it): "\(it.step) \(it.stage) \(it.loss) \(it.learningRate) \(it.totalSteps)"
                case .measured(let it): "measured \(it.step) \(it.loss)"
                case .noticed(let it): "\(it)"
                case .stageEnded(let stage, let step): "end of \(stage) \(step)"
                default: nil
                }
            }
        }
        func log(_ name: String) throws -> [MetricsEvent] {
            try MetricsLog.events(path: run.path("\(name)/metrics.jsonl")).filter {
                switch $0 {
                case .validation, .notice, .stageEnd, .positions: true
                default: false
                }
            }
        }
        let whole = try run.train("whole")
        for index in whole.events.indices.dropFirst(2) {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(second.isComplete && second.warnings.allSatisfy { _ in first.steps.isEmpty })
            if !first.steps.isEmpty { #expect(history(first, second) == history(whole), "event \(index)") }
            #expect(try log(name) == log("whole"), "event \(index)")
            let file = "student/model.safetensors"
            let same = try run.bytes("\(name)/\(file)") == run.bytes("whole/\(file)")
            #expect(same, "event \(index)")
        }
    }

    @Test("what is done about it may be changed while a run is stopped")
    func changed() throws {
        let run = try makeRun(.none)
        try run.train(stop: 9)
        run.configuration.plateau.action = .stop
        try run.folder.write("run/config.yaml", run.configuration.yaml())
        let record = try run.train(resuming: true)
        #expect(record.isComplete && record.steps.contains { $0.totalSteps < 16 })
    }
}
